/** How the connection is, and what the server does without for now; quiet while all is well. */

import { h } from './element.js';

const PATIENCE_MS = 1_200;
const WORDS = {
  connecting: 'Connecting…',
  open: 'Connected',
  reconnecting: 'Reconnecting…',
  closed: 'Not connected',
};
const PARTS = {
  redis: 'Answers arrive whole instead of word by word',
  postgres: 'New messages are kept safe and saved a little later',
};

export class ConnectionState {
  #session;
  #retry;
  #label;
  #banner;
  #parts;
  #timer = 0;
  #clock = 0;
  #state = { name: 'closed' };

  /** @param {{session, retry: () => void}} wiring */
  constructor({ session, retry }) {
    this.#session = session;
    this.#retry = retry;
    this.#label = h('span', { class: 'connection-label' });
    this.element = h(
      'div',
      { class: 'connection', role: 'status', data: { testid: 'connection', state: 'closed' } },
      h('span', { class: 'dot', 'aria-hidden': 'true' }),
      this.#label,
    );
    this.#banner = h('div', { class: 'banner', hidden: true });
    this.#parts = h('div', { class: 'parts', role: 'status', hidden: true, data: { testid: 'parts' } });
    this.strip = h('div', { class: 'strip' }, this.#parts, this.#banner);
  }

  show(state) {
    this.#state = state;
    this.element.dataset.state = state.name;
    this.#label.textContent = WORDS[state.name];
    this.element.title = WORDS[state.name];
    if (state.name === 'open' || isSignedOut(state)) this.#hush();
    else if (!this.#banner.hidden || state.name === 'closed') this.#explain();
    else this.#timer ||= setTimeout(() => this.#explain(), PATIENCE_MS);
  }

  partsChanged() {
    const notes = [...this.#session.degraded].map(
      (part) => PARTS[part] ?? `${part.replace(/^provider:/, '')} is away; others answer for it`,
    );
    if (this.#session.draining) notes.push('This server is about to restart; moving to another');
    this.#parts.hidden = !notes.length;
    this.#parts.replaceChildren(...notes.map((note) => h('span', { class: 'part' }, note)));
  }

  #explain() {
    this.#banner.hidden = false;
    this.#draw();
    this.#clock ||= setInterval(() => this.#draw(), 500);
  }

  #hush() {
    clearTimeout(this.#timer);
    clearInterval(this.#clock);
    this.#timer = this.#clock = 0;
    this.#banner.hidden = true;
  }

  #draw() {
    const { name, retryAt } = this.#state;
    const seconds = Math.ceil(((retryAt ?? 0) - Date.now()) / 1000);
    const text =
      name === 'closed'
        ? 'Not connected.'
        : seconds > 1
          ? `Connection lost. Next try in ${seconds} s.`
          : 'Connection lost. Trying again…';
    if (this.#banner.firstChild?.textContent === text) return;
    this.#banner.replaceChildren(
      h('span', {}, text),
      h('span', { class: 'faint' }, 'Nothing is lost; what you send is kept.'),
      h('button', { type: 'button', class: 'link', on: { click: () => this.#retry() } }, 'Try now'),
    );
  }
}

/** Closed on request or for want of a valid key: the question for one is on the page. */
function isSignedOut({ name, code }) {
  return name === 'closed' && (code === undefined || code === 4401);
}
