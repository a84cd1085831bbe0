/**
 * The connection: one WebSocket after another, as far as the person is concerned a single one.
 *
 * States: connecting → open (after `welcome`) → reconnecting → open …; closed when dialling again
 * cannot help, or on request. Frames are handed on as they come, except those about the socket itself.
 */

import { mayRetry, retryDelayMs } from './backoff.js';

const SILENCE_FACTOR = 2.4;
const PROBE_MS = 5_000;
const DIAL_MS = 10_000;

export class Connection {
  #url;
  #hello;
  #onFrame;
  #onState;
  #socket = null;
  #attempt = 0;
  #retryTimer = 0;
  #silenceTimer = 0;
  #silenceMs = DIAL_MS;
  #retryAfterMs = 0;

  /**
   * @param {object} wiring
   * @param {string} wiring.url the socket's address
   * @param {() => object} wiring.hello the first frame, made anew for each socket
   * @param {(frame: object) => void} wiring.onFrame
   * @param {(state: {name: string, retryAt?: number, code?: number}) => void} wiring.onState
   */
  constructor({ url, hello, onFrame, onState }) {
    this.#url = url;
    this.#hello = hello;
    this.#onFrame = onFrame;
    this.#onState = onState;
    this.state = { name: 'closed' };
  }

  open() {
    clearTimeout(this.#retryTimer);
    this.#drop();
    this.#become({
      name: this.#attempt || this.state.name === 'reconnecting' ? 'reconnecting' : 'connecting',
    });
    const socket = new WebSocket(this.#url, 'parley.v1');
    this.#socket = socket;
    socket.onopen = () => socket.send(JSON.stringify(this.#hello()));
    socket.onmessage = (event) => this.#socket === socket && this.#receive(JSON.parse(event.data));
    socket.onclose = (event) => this.#socket === socket && this.#lost(event.code);
    this.#silenceMs = DIAL_MS;
    this.#heard();
  }

  close() {
    clearTimeout(this.#retryTimer);
    this.#drop();
    this.#become({ name: 'closed' });
  }

  /** @returns {boolean} false when there is no open connection; the frame is then not kept */
  send(frame) {
    if (this.state.name !== 'open') return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** Dial now instead of waiting; with an open connection, find out soon whether it still lives. */
  wake() {
    if (this.state.name === 'reconnecting' && this.state.retryAt) this.open();
    else if (this.send({ type: 'ping', t: Date.now() })) this.#heard(PROBE_MS);
  }

  #receive(frame) {
    this.#heard();
    if (frame.type === 'ping') return void this.#socket.send(JSON.stringify({ type: 'pong', t: frame.t }));
    if (frame.type === 'pong') return;
    if (frame.type === 'welcome') this.#welcomed(frame);
    if (frame.type === 'drain') this.#leaveSoon(frame.retry_after_s ?? 1);
    if (frame.type === 'error') this.#retryAfterMs = (frame.error.retry_after_s ?? 0) * 1000;
    this.#onFrame(frame);
  }

  #welcomed(frame) {
    this.#attempt = 0;
    this.#retryAfterMs = 0;
    this.#silenceMs = (frame.heartbeat_s ?? 25) * 1000 * SILENCE_FACTOR;
    this.#heard();
    this.#become({ name: 'open' });
  }

  #leaveSoon(seconds) {
    const socket = this.#socket;
    setTimeout(() => this.#socket === socket && this.#lost(1012), seconds * 1000 * (1 + Math.random() / 2));
  }

  #heard(patienceMs = this.#silenceMs) {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => this.#lost(1006), patienceMs);
  }

  #lost(code) {
    this.#drop();
    if (!mayRetry(code)) return this.#become({ name: 'closed', code });
    const asked = code === 1013 || code === 4429 ? this.#retryAfterMs || 1000 : 0;
    const delay = retryDelayMs(this.#attempt, Math.random(), asked);
    this.#attempt += 1;
    this.#become({ name: 'reconnecting', code, retryAt: Date.now() + delay });
    this.#retryTimer = setTimeout(() => this.open(), delay);
  }

  #drop() {
    clearTimeout(this.#silenceTimer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }

  #become(state) {
    this.state = state;
    this.#onState(state);
  }
}
