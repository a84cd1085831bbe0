/** The API key, kept in this browser; never part of an address. */

const SLOT = 'parley.key';

export class Credentials {
  #storage;
  #offered = null;
  #refused = new Set();

  /** @param {Storage} storage */
  constructor(storage) {
    this.#storage = storage;
  }

  /** The key that a development server gives away, used when the person has none. */
  offer(key) {
    this.#offered = key;
  }

  get key() {
    const usable = [this.#storage.getItem(SLOT), this.#offered].filter((key) => key && !this.#refused.has(key));
    return usable[0] ?? null;
  }

  set(key) {
    this.#refused.delete(key);
    this.#storage.setItem(SLOT, key);
  }

  /** The server does not know the key in use. */
  refuse() {
    if (this.key) this.#refused.add(this.key);
  }

  forget() {
    this.#storage.removeItem(SLOT);
    this.#offered = null;
  }
}
