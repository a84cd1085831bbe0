/** The open conversation: its entries in order, drawn at most once a frame, with the scroll where a reader expects it. */

import { h, iconButton } from './element.js';
import { MessageView } from './message.js';

const NEAR_END_PX = 80;

export class Transcript {
  #session;
  #words;
  #list;
  #scroll;
  #older;
  #latest;
  #empty;
  #views = new Map();
  #shown = null;
  #frame = 0;
  #follow = true;

  /** @param {{session, scroll: HTMLElement, empty: EmptyState, words: object}} wiring */
  constructor({ session, scroll, empty, words }) {
    this.#session = session;
    this.#words = words;
    this.#scroll = scroll;
    this.#empty = empty;
    this.#older = h(
      'button',
      { type: 'button', class: 'older', hidden: true, on: { click: () => this.#readOlder() } },
      'Earlier messages',
    );
    this.#list = h('div', { class: 'messages', role: 'log', 'aria-live': 'off', 'aria-label': 'Messages' });
    this.#latest = iconButton('down', 'To the latest message', {
      class: 'latest',
      hidden: true,
      on: { click: () => this.toEnd(true) },
    });
    scroll.append(h('div', { class: 'column' }, this.#older, empty.element, this.#list));
    scroll.after(h('div', { class: 'latest-place' }, this.#latest));
    scroll.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#follow && this.#views.size && this.toEnd()).observe(scroll);
  }

  /** Something of the open conversation changed: draw it with the next frame. */
  changed() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.draw();
    });
  }

  draw() {
    const id = this.#session.open;
    if (id !== this.#shown) this.#turnTo(id);
    const entries = this.#session.entries(id);
    this.#reconcile(entries);
    this.#empty.show(entries.length === 0 && !this.#awaited(id), this.#awaited(id) && entries.length === 0);
    this.#older.hidden = !this.#session.state(id)?.hasMore;
    if (!entries.length) this.#scroll.scrollTop = 0;
    else if (this.#follow) this.toEnd();
    else this.#latest.hidden = this.#nearEnd();
  }

  /** The open draft has become a conversation: what is on the page stays. */
  rename(id) {
    this.#shown = id;
  }

  describeAll() {
    for (const view of this.#views.values()) view.describe();
  }

  toEnd(smooth = false) {
    this.#follow = true;
    this.#latest.hidden = true;
    this.#scroll.scrollTo({ top: this.#scroll.scrollHeight, behavior: smooth ? 'smooth' : 'instant' });
  }

  #awaited(id) {
    const state = this.#session.state(id);
    return Boolean(state) && !state.loaded;
  }

  #turnTo(id) {
    this.#shown = id;
    this.#views.clear();
    this.#list.replaceChildren();
    this.#follow = true;
    this.#list.classList.add('quiet');
    requestAnimationFrame(() => requestAnimationFrame(() => this.#list.classList.remove('quiet')));
  }

  #reconcile(entries) {
    const keys = new Set(entries.map((entry) => entry.key));
    for (const [key, view] of this.#views) if (!keys.has(key)) this.#forget(key, view);
    let place = this.#list.firstElementChild;
    for (const entry of entries) {
      const { element } = this.#view(entry);
      if (element === place) place = place.nextElementSibling;
      else this.#list.insertBefore(element, place);
    }
  }

  #view(entry) {
    const known = this.#views.get(entry.key);
    if (known) known.update(entry);
    else this.#views.set(entry.key, new MessageView(entry, this.#words));
    return this.#views.get(entry.key);
  }

  #forget(key, view) {
    view.element.remove();
    this.#views.delete(key);
  }

  async #readOlder() {
    const fromEnd = this.#scroll.scrollHeight - this.#scroll.scrollTop;
    this.#older.disabled = true;
    this.#list.classList.add('quiet');
    await this.#words.attempt(() => this.#session.readOlder());
    this.#older.disabled = false;
    this.#follow = false;
    this.draw();
    this.#scroll.scrollTop = this.#scroll.scrollHeight - fromEnd;
    this.#list.classList.remove('quiet');
  }

  #scrolled() {
    this.#follow = this.#nearEnd();
    this.#latest.hidden = this.#follow;
  }

  #nearEnd() {
    return this.#scroll.scrollHeight - this.#scroll.scrollTop - this.#scroll.clientHeight < NEAR_END_PX;
  }
}
