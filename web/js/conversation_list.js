/** The person's conversations as far as they have been read, newest first. */

const TITLE_CHARS = 60;

export class ConversationList {
  #api;
  #changed;
  #next = null;
  #loading = null;
  #untitled = [];

  /** @param {Api} api @param {() => void} changed called after every change */
  constructor(api, changed) {
    this.#api = api;
    this.#changed = changed;
    this.items = [];
    this.loaded = false;
  }

  get hasMore() {
    return this.#next !== null;
  }

  /** Read the first page again; what was read of later pages stays below it. */
  async refresh() {
    const page = await this.#api.conversations();
    const fresh = new Set(page.data.map((item) => item.id));
    const kept = this.items.filter((item) => !fresh.has(item.id));
    const rest = this.loaded && page.next ? kept : [];
    if (!rest.length) this.#next = page.next;
    this.#become([...page.data, ...rest]);
  }

  /** Read the next page, once at a time. */
  more() {
    this.#loading ??= this.#readNext().finally(() => (this.#loading = null));
    return this.#loading;
  }

  find(id) {
    return this.items.find((item) => item.id === id) ?? null;
  }

  /** Something was said in it just now: it moves to the top. */
  touch(id) {
    const known = this.find(id);
    if (!known) return void this.refresh().catch(() => {});
    this.#top({ ...known, updated_at: new Date().toISOString() });
  }

  /** A conversation that has just begun with `text`. */
  begin(id, text) {
    const now = new Date().toISOString();
    this.#top({ id, title: shorten(text), created_at: now, updated_at: now });
    this.#api.rename(id, shorten(text)).catch(() => {});
  }

  async rename(id, title) {
    const before = this.items;
    this.#become(before.map((item) => (item.id === id ? { ...item, title } : item)));
    await this.#api.rename(id, title).catch((error) => {
      this.#become(before);
      throw error;
    });
  }

  async remove(id) {
    await this.#api.remove(id);
    this.#become(this.items.filter((item) => item.id !== id));
  }

  clear() {
    this.items = [];
    this.loaded = false;
    this.#next = null;
    this.#changed();
  }

  #top(item) {
    this.#become([item, ...this.items.filter((other) => other.id !== item.id)]);
  }

  async #readNext() {
    const page = await this.#api.conversations({ page: this.#next });
    const known = new Set(this.items.map((item) => item.id));
    this.#next = page.next;
    this.#become([...this.items, ...page.data.filter((item) => !known.has(item.id))]);
  }

  #become(items) {
    const words = new Map(this.items.map((item) => [item.id, item.words]));
    this.items = items.map((item) =>
      item.words || !words.get(item.id) ? item : { ...item, words: words.get(item.id) },
    );
    this.loaded = true;
    this.#changed();
    this.#readFirstWords();
  }

  /** Conversations without a title are called by their first words, read one after another. */
  async #readFirstWords() {
    const asked = this.#untitled.length > 0;
    const known = new Set(this.#untitled);
    this.#untitled.push(
      ...this.items.filter((i) => !i.title && i.words === undefined && !known.has(i.id)).map((i) => i.id),
    );
    if (asked) return;
    while (this.#untitled.length) {
      const id = this.#untitled[0];
      const page = await this.#api.messages(id, { limit: 1, before: 2 }).catch(() => ({ data: [] }));
      this.items = this.items.map((item) =>
        item.id === id ? { ...item, words: shorten(page.data[0]?.text ?? '') } : item,
      );
      this.#untitled.shift();
      this.#changed();
    }
  }
}

/** The first words of a text, on one line. */
export function shorten(text = '') {
  const line = text.replace(/\s+/g, ' ').trim();
  if (line.length <= TITLE_CHARS) return line;
  const cut = line.slice(0, TITLE_CHARS);
  return `${cut.slice(0, Math.max(cut.lastIndexOf(' '), TITLE_CHARS / 2))}…`;
}
