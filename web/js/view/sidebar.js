/** The list of conversations: open, rename, delete; more of it as one scrolls. */

import { h, iconButton } from './element.js';

const DAY_MS = 86_400_000;

export class Sidebar {
  #session;
  #words;
  #list;
  #more;
  #rows = new Map();
  #open;
  #layout = '';
  #moving = false;
  #end;

  /** @param {{session, words: {attempt, confirm}, open: (id: string | null) => void}} wiring */
  constructor({ session, words, open }) {
    this.#session = session;
    this.#words = words;
    this.#open = open;
    this.#list = h('div', { class: 'conversation-list', data: { testid: 'conversation-list' } });
    this.#more = h('div', { class: 'more', 'aria-hidden': 'true' });
    this.fresh = h(
      'button',
      {
        type: 'button',
        class: 'new-conversation',
        icon: 'plus',
        title: 'New conversation (Ctrl+K)',
        'aria-keyshortcuts': 'Control+K Meta+K',
        data: { testid: 'new-conversation' },
        on: { click: () => open(null) },
      },
      'New conversation',
    );
    this.element = h('nav', { class: 'sidebar-scroll', 'aria-label': 'Conversations' }, this.#list, this.#more);
    this.#end = new IntersectionObserver(([seen]) => seen.isIntersecting && this.#readMore(), {
      root: this.element,
      rootMargin: '200px',
    });
    this.#end.observe(this.#more);
  }

  draw() {
    const { list } = this.#session;
    this.#more.hidden = !list.hasMore;
    const groups = group(list.items, Date.now());
    this.#forget(new Set(list.items.map((item) => item.id)));
    for (const item of list.items) this.#row(item);
    const layout = JSON.stringify([list.loaded, groups.map(([title, items]) => [title, items.map((item) => item.id)])]);
    if (layout !== this.#layout) this.#arrange(groups, list.loaded);
    this.#layout = layout;
  }

  /** Put the rows where they belong; who had the focus keeps it. */
  #arrange(groups, loaded) {
    const focused = document.activeElement;
    this.#moving = true;
    this.#list.replaceChildren(...groups.flatMap(([title, items]) => this.#group(title, items)));
    if (loaded && !groups.length)
      this.#list.append(h('p', { class: 'nothing' }, 'Your conversations will be listed here.'));
    if (this.#list.contains(focused)) focused.focus({ preventScroll: true });
    this.#moving = false;
  }

  #group(title, items) {
    return [h('h2', { class: 'group' }, title), h('ul', {}, ...items.map((item) => this.#row(item)))];
  }

  #row(item) {
    const row = this.#rows.get(item.id) ?? this.#newRow(item.id);
    const current = item.id === this.#session.open;
    const title = item.title || item.words || 'Untitled';
    if (row.link.textContent !== title) row.link.textContent = title;
    row.link.title = title;
    row.link.ariaCurrent = current ? 'page' : null;
    row.element.classList.toggle('current', current);
    row.element.classList.toggle('busy', this.#session.busy(item.id));
    return row.element;
  }

  #newRow(id) {
    const link = h('a', { class: 'conversation-link', href: `#c=${id}` });
    const rename = iconButton('rename', 'Rename', { on: { click: () => this.#rename(id) } });
    const remove = iconButton('trash', 'Delete', { on: { click: () => this.#remove(id) } });
    const element = h(
      'li',
      { class: 'conversation-item', data: { testid: 'conversation-item', conversation: id } },
      link,
      h('span', { class: 'row-tools' }, rename, remove),
    );
    link.addEventListener('click', (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      this.#open(id);
    });
    const row = { element, link };
    this.#rows.set(id, row);
    return row;
  }

  #forget(known) {
    for (const id of this.#rows.keys()) if (!known.has(id)) this.#rows.delete(id);
  }

  #rename(id) {
    const row = this.#rows.get(id);
    const before = row.link.textContent;
    const field = h('input', { class: 'rename', value: before, 'aria-label': 'Title', maxlength: 200 });
    let finished = false;
    const finish = (keep) => {
      if (finished) return;
      finished = true;
      const title = field.value.trim();
      field.replaceWith(row.link);
      row.link.focus();
      if (keep && title && title !== before) this.#words.attempt(() => this.#session.list.rename(id, title));
    };
    field.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') event.stopPropagation();
      if (event.key === 'Enter' || event.key === 'Escape') finish(event.key === 'Enter');
    });
    field.addEventListener('blur', () => this.#moving || finish(true));
    row.link.replaceWith(field);
    field.select();
  }

  async #remove(id) {
    const title = this.#rows.get(id).link.textContent;
    const sure = await this.#words.confirm(
      'Delete this conversation?',
      `“${title}” and all its messages will be gone.`,
      'Delete',
    );
    if (!sure) return;
    const removed = await this.#words.attempt(async () => (await this.#session.remove(id), true));
    if (removed && this.#session.open === id) this.#open(null);
  }

  async #readMore() {
    if (!this.#session.list.hasMore) return;
    await this.#words.attempt(() => this.#session.list.more());
    this.#end.unobserve(this.#more);
    this.#end.observe(this.#more);
  }
}

/** Conversations by when something was last said in them: [title, items] in order. */
export function group(items, now) {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  const limits = [
    ['Today', midnight],
    ['Yesterday', midnight - DAY_MS],
    ['Last seven days', midnight - 6 * DAY_MS],
    ['Earlier', -Infinity],
  ];
  const groups = new Map();
  for (const item of items) {
    const when = Date.parse(item.updated_at ?? item.created_at) || 0;
    const [title] = limits.find(([, since]) => when >= since);
    groups.set(title, [...(groups.get(title) ?? []), item]);
  }
  return limits.filter(([title]) => groups.has(title)).map(([title]) => [title, groups.get(title)]);
}
