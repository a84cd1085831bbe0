/** Where a person writes. Enter sends, Shift+Enter begins a line, Escape stops the answer. */

import { h, iconButton } from './element.js';

const NEAR_LIMIT = 0.9;

export class Composer {
  #session;
  #storage;
  #field;
  #send;
  #stop;
  #count;
  #agent;

  /** @param {{session, storage: Storage, agent: AgentSelect, sent: () => void}} wiring */
  constructor({ session, storage, agent, sent }) {
    this.#session = session;
    this.#storage = storage;
    this.#agent = agent;
    this.#field = h('textarea', {
      class: 'composer-field',
      rows: 1,
      placeholder: 'Message Parley',
      'aria-label': 'Message',
      enterkeyhint: 'send',
      dir: 'auto',
      data: { testid: 'composer' },
      on: { input: () => this.#edited(), keydown: (event) => this.#key(event) },
    });
    this.#count = h('span', { class: 'count', role: 'status' });
    this.#stop = iconButton('stop', 'Stop the answer (Esc)', {
      class: 'stop',
      hidden: true,
      data: { testid: 'stop' },
      on: { click: () => session.stop() },
    });
    this.#send = h('button', {
      type: 'submit',
      class: 'icon-button send',
      'aria-label': 'Send',
      title: 'Send',
      disabled: true,
      icon: 'send',
      data: { testid: 'send' },
    });
    this.element = h(
      'form',
      { class: 'composer', on: { submit: (event) => this.#submit(event) } },
      this.#field,
      h(
        'div',
        { class: 'composer-bar' },
        agent.element,
        this.#count,
        h('span', { class: 'spring' }),
        this.#stop,
        this.#send,
      ),
    );
    this.element.addEventListener('click', ({ target }) => target === this.element && this.#field.focus());
    this.sent = sent;
  }

  focus() {
    this.#field.focus();
  }

  /** Another conversation is shown: what was being written there comes back. */
  turn() {
    this.#put(this.#storage.getItem(this.#slot()) ?? '');
  }

  /** The draft has become a conversation; what is being written goes with it. */
  rename() {
    this.#edited();
  }

  suggest(text) {
    this.#put(text);
    this.#edited();
    this.#field.focus();
  }

  changed() {
    this.#stop.hidden = !this.#session.active(this.#session.open);
  }

  #slot() {
    return `parley.writing.${this.#session.open.startsWith('draft:') ? 'new' : this.#session.open}`;
  }

  #put(text) {
    this.#field.value = text;
    this.#measure();
  }

  #edited() {
    if (this.#field.value) this.#storage.setItem(this.#slot(), this.#field.value);
    else this.#storage.removeItem(this.#slot());
    this.#measure();
  }

  #measure() {
    const field = this.#field;
    field.style.height = 'auto';
    field.style.height = `${field.scrollHeight}px`;
    const limit = this.#session.limits.max_text_chars ?? Infinity;
    const { length } = field.value;
    this.#count.textContent =
      length > limit * NEAR_LIMIT ? `${length.toLocaleString()} of ${limit.toLocaleString()}` : '';
    this.#count.classList.toggle('over', length > limit);
    this.#send.disabled = !field.value.trim() || length > limit;
  }

  #key(event) {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.element.requestSubmit();
  }

  #submit(event) {
    event.preventDefault();
    const text = this.#field.value.trim();
    if (!text || this.#send.disabled) return;
    this.#put('');
    this.#edited();
    this.#session.say(text, this.#agent.value || null);
    this.sent();
    this.#field.focus();
  }
}
