/** Hands the outbox's messages to the connection: once a socket, and again when refused for now. */

import { sendFrame } from './outbox.js';

const MAX_TRIES = 4;

export class Sender {
  #outbox;
  #transmit;
  #underWay = new Set();

  /** @param {Outbox} outbox @param {(frame: object) => boolean} transmit false when there is no connection */
  constructor(outbox, transmit) {
    this.#outbox = outbox;
    this.#transmit = transmit;
  }

  /** A new socket knows nothing of what the former one was told. */
  restart() {
    this.#underWay.clear();
    this.flush();
  }

  flush() {
    for (const entry of this.#outbox.ready()) {
      if (!this.#underWay.has(entry.id) && this.#transmit(sendFrame(entry))) this.#underWay.add(entry.id);
    }
  }

  /** A person asks for it once more. */
  retry(id) {
    this.#outbox.update(id, { status: 'pending', error: null, tries: 0 });
    this.#again(id);
  }

  /** The server refused a message: try again by itself where it says that this may help. */
  refused(id, error) {
    const tries = this.#outbox.get(id).tries + 1;
    const again = error.retryable && tries < MAX_TRIES;
    this.#outbox.update(id, { tries, error, status: again ? 'pending' : 'failed' });
    if (again) setTimeout(() => this.#again(id), retryMs(error, tries));
  }

  #again(id) {
    this.#underWay.delete(id);
    this.flush();
  }
}

function retryMs(error, tries) {
  return (error.retry_after_s ?? 2 ** tries / 2) * 1000 * (1 + Math.random() / 4);
}
