/**
 * Markdown on the page, grown as the text grows.
 *
 * A text is rendered block by block; while it streams, blocks that can no longer change are neither
 * parsed nor rendered again. Model text never becomes HTML unsanitized: HTML in it is shown as text,
 * pictures become links (nothing foreign is loaded), and what is rendered passes through DOMPurify.
 */

import { Marked } from '../vendor/marked.js';
import DOMPurify from '../vendor/dompurify.js';
import { highlight } from './highlight.js';

const LIVE_HIGHLIGHT_CHARS = 6_000;
const PURIFY = {
  ALLOWED_TAGS: [
    'a',
    'b',
    'blockquote',
    'br',
    'code',
    'del',
    'em',
    'h1',
    'h2',
    'h3',
    'h4',
    'h5',
    'h6',
    'hr',
    'input',
    'li',
    'ol',
    'p',
    'pre',
    'strong',
    'table',
    'tbody',
    'td',
    'th',
    'thead',
    'tr',
    'ul',
  ],
  ALLOWED_ATTR: ['href', 'title', 'class', 'align', 'start', 'type', 'checked', 'disabled'],
  ADD_URI_SAFE_ATTR: ['align', 'start', 'type', 'checked', 'disabled'],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
  RETURN_DOM_FRAGMENT: true,
};

const marked = new Marked({ gfm: true, breaks: false });
marked.use({
  renderer: {
    html: ({ text }) => escape(text),
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || href)}</a>`,
  },
});

export class Markdown {
  #element;
  #blocks = [];
  #text = '';
  #settled = 0;

  /** @param {HTMLElement} element whose children are the blocks */
  constructor(element) {
    this.#element = element;
  }

  /** @param {string} text all of it @param {boolean} done no more will come */
  update(text, done) {
    const grows = text.startsWith(this.#text);
    if (!grows || done) this.#settled = 0;
    this.#text = text;
    const { kept, offset } = this.#kept();
    const tokens = marked.lexer(text.slice(offset));
    const blocks = tokens.filter(isShown);
    const linked = Object.keys(tokens.links).length > 0;
    blocks.forEach((token, place) =>
      this.#put(kept + place, token, tokens.links, done || place < blocks.length - 1, done && linked),
    );
    this.#trim(kept + blocks.length);
    if (!done) this.#settle(offset, tokens);
  }

  #kept() {
    let offset = 0;
    for (let place = 0; place < this.#settled; place += 1) offset = this.#blocks[place].end;
    return { kept: this.#settled, offset };
  }

  /** All blocks but the last two are behind the writer for good. */
  #settle(offset, tokens) {
    let end = offset;
    let place = this.#settled;
    for (const token of tokens) {
      end += token.raw.length;
      if (isShown(token)) this.#blocks[place++].end = end;
    }
    const exact = end === this.#text.length;
    this.#settled = exact ? Math.max(this.#settled, place - 2) : this.#settled;
  }

  #put(place, token, links, settled, fresh) {
    const known = this.#blocks[place];
    if (known && !fresh && known.raw === token.raw && known.coloured >= (settled ? 1 : 0)) return;
    const element = known?.element ?? this.#element.appendChild(block());
    element.replaceChildren(render(token, links));
    const coloured = settled || token.raw.length < LIVE_HIGHLIGHT_CHARS;
    decorate(element, coloured);
    this.#blocks[place] = { raw: token.raw, element, coloured: coloured ? 1 : 0, end: known?.end ?? 0 };
  }

  #trim(count) {
    for (const { element } of this.#blocks.splice(count)) element.remove();
  }
}

/** Blank lines and definitions of links have no place on the page. */
function isShown({ type }) {
  return type !== 'space' && type !== 'def';
}

function block() {
  const element = document.createElement('div');
  element.className = 'block';
  return element;
}

function render(token, links) {
  const tokens = Object.assign([token], { links });
  return DOMPurify.sanitize(marked.parser(tokens), PURIFY);
}

function decorate(element, coloured) {
  for (const link of element.querySelectorAll('a')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
  }
  for (const box of element.querySelectorAll('input')) box.ariaLabel = box.checked ? 'done' : 'open';
  for (const table of element.querySelectorAll('table')) wrap(table, 'table-scroll').tabIndex = 0;
  for (const code of element.querySelectorAll('pre > code')) frame(code, coloured);
}

/** A block of code in its frame: language, copy button, colours. */
function frame(code, coloured) {
  const language = /language-([\w+#.-]+)/.exec(code.className)?.[1] ?? '';
  const figure = wrap(code.parentElement, 'code');
  code.parentElement.tabIndex = 0;
  const bar = document.createElement('div');
  bar.className = 'code-bar';
  bar.dataset.language = language;
  const copy = document.createElement('button');
  copy.type = 'button';
  copy.className = 'copy';
  copy.dataset.copy = 'code';
  copy.setAttribute('aria-label', 'Copy code');
  bar.append(copy);
  figure.prepend(bar);
  if (coloured) highlight(code, language);
}

function wrap(element, className) {
  const outer = document.createElement('div');
  outer.className = className;
  element.replaceWith(outer);
  outer.append(element);
  return outer;
}

function escape(text) {
  const named = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (character) => named[character]);
}
