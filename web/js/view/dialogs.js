/** The two questions the console asks: which key, and whether one is sure. */

import { h } from './element.js';

/** @returns {Promise<string>} the API key, asked for until one is given @param {string} reason shown when a key was refused */
export function askForKey(reason = '') {
  return new Promise((resolve) => {
    const field = h('input', {
      type: 'password',
      class: 'field',
      name: 'key',
      autocomplete: 'off',
      spellcheck: 'false',
      required: true,
      'aria-label': 'API key',
      placeholder: 'API key',
      data: { testid: 'api-key' },
    });
    const form = h(
      'form',
      { class: 'dialog-form' },
      h('img', { src: '/static/favicon.svg', alt: '', width: 40, height: 40 }),
      h('h2', {}, 'Welcome to Parley'),
      h('p', { class: 'faint' }, reason || 'Enter your API key to begin. It is kept in this browser only.'),
      field,
      h('button', { type: 'submit', class: 'primary', data: { testid: 'sign-in' } }, 'Sign in'),
    );
    const dialog = open(form, 'Sign in');
    dialog.addEventListener('cancel', (event) => event.preventDefault());
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      dialog.remove();
      resolve(field.value.trim());
    });
    field.focus();
  });
}

/** @returns {Promise<boolean>} */
export function confirm(title, text, action) {
  return new Promise((resolve) => {
    const answer = (sure) => {
      dialog.remove();
      resolve(sure);
    };
    const form = h(
      'form',
      { class: 'dialog-form' },
      h('h2', {}, title),
      h('p', { class: 'faint' }, text),
      h(
        'div',
        { class: 'dialog-buttons' },
        h('button', { type: 'button', class: 'secondary', on: { click: () => answer(false) } }, 'Cancel'),
        h('button', { type: 'submit', class: 'danger', data: { testid: 'confirm' } }, action),
      ),
    );
    const dialog = open(form, title);
    dialog.addEventListener('cancel', () => answer(false));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      answer(true);
    });
  });
}

function open(form, label) {
  const dialog = h('dialog', { class: 'dialog', 'aria-label': label }, form);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
