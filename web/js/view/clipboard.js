/** Copying, with a tick on the button that asked. */

import { icon } from './element.js';

const TICK_MS = 1_400;

export async function copy(button, text) {
  await write(text);
  const before = [...button.childNodes];
  button.replaceChildren(icon('check'));
  button.classList.add('copied');
  setTimeout(() => {
    button.replaceChildren(...before);
    button.classList.remove('copied');
  }, TICK_MS);
}

/** `navigator.clipboard` is missing on plain http: there the old way still works. */
async function write(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement('textarea');
  field.className = 'visually-hidden';
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand('copy');
  field.remove();
}
