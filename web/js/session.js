/**
 * A person's session: the connection, the conversations held, and what waits to be sent. No DOM.
 *
 * Views read its fields and are told of changes by topic: "agents", "parts", "conversation" (id),
 * "opened" (id: a draft has become this conversation), "ended" (id, run) and "gone" (id). What deserves a
 * word goes to `notice`.
 */

import {
  activeRun,
  applyEvent,
  awaitSnapshot,
  emptyConversation,
  markStopping,
  markVerified,
  prependMessages,
  timeline,
} from './conversation.js';
import { isDraft, newDraft, randomId, withAwaited } from './outbox.js';
import { Sender } from './sender.js';

const HELD = 12;
const RESNAPSHOT_GAP_MS = 2_000;

export class Session {
  #connection = null;
  #api;
  #outbox;
  #sender;
  #digest;
  #changed;
  #notice;
  #key;
  #resnapshots = new Map();
  #attached = new Set();
  #handlers = {
    welcome: (frame) => this.#welcome(frame),
    accepted: (frame) => this.#accepted(frame),
    attached: () => {},
    error: (frame) => this.#error(frame),
    degraded: ({ parts }) => this.#parts('add', parts),
    restored: ({ parts }) => this.#parts('delete', parts),
    drain: () => this.#drain(),
  };

  /** @param {{api, outbox, digest, list, key: () => string, changed: Function, notice: Function}} wiring */
  constructor({ api, outbox, digest, list, key, changed, notice }) {
    this.#api = api;
    this.#outbox = outbox;
    this.#sender = new Sender(outbox, (frame) => this.#transmit(frame));
    this.#digest = digest;
    this.#key = key;
    this.#changed = changed;
    this.#notice = notice;
    this.list = list;
    this.agents = [];
    this.limits = {};
    this.degraded = new Set();
    this.draining = false;
    this.conversations = new Map();
    this.open = outbox.entries.map((entry) => entry.conversation).find(isDraft) ?? newDraft();
  }

  /** @param {Connection} connection made with this session's `hello` and `receive` */
  use(connection) {
    this.#connection = connection;
  }

  hello() {
    this.#attached = new Set([...this.conversations.keys()].filter((id) => this.#wanted(id)));
    const attach = [...this.#attached].map((id) => attachment(this.conversations.get(id)));
    return { type: 'hello', token: this.#key(), attach };
  }

  receive(frame) {
    const handle = this.#handlers[frame.type];
    if (handle) handle(frame);
    else if (frame.cursor && frame.conversation) this.#event(frame);
  }

  /** Show a conversation; null begins a new one. */
  show(id) {
    const before = this.open;
    this.open = id ?? (isDraft(before) ? before : newDraft());
    if (before !== this.open) this.#letGo(before);
    if (!isDraft(this.open)) this.#hold(this.open);
    this.#changed('conversation', this.open);
  }

  /** Everything to show of a conversation, in reading order; the same objects while nothing changed. */
  entries(id) {
    const state = this.conversations.get(id);
    return [...(state ? timeline(state) : []), ...this.#outbox.of(id).flatMap((entry) => withAwaited(entry))];
  }

  state(id) {
    return this.conversations.get(id) ?? null;
  }

  /** The run that "stop" would stop in a conversation, or null. */
  active(id) {
    const state = this.conversations.get(id);
    const accepted = () => this.#outbox.of(id).find((entry) => entry.status === 'accepted');
    return (state && activeRun(state)) ?? accepted() ?? null;
  }

  /** @returns {boolean} whether an answer is being made in a conversation that is held */
  busy(id) {
    return (this.conversations.get(id)?.runs.length ?? 0) > 0;
  }

  say(text, agent) {
    const createdAt = new Date().toISOString();
    this.#outbox.add({ id: randomId(), conversation: this.open, text, agent, createdAt });
    if (!isDraft(this.open)) this.list.touch(this.open);
    this.#sender.flush();
    this.#changed('conversation', this.open);
  }

  /** Say a message once more, the answer to it having failed. */
  askAgain(message, agent) {
    const asked = this.conversations.get(this.open)?.messages.find(({ id }) => id === message);
    if (asked) this.say(asked.text, agent);
  }

  retry(id) {
    this.#sender.retry(id);
    this.#changed('conversation', this.open);
  }

  discard(id) {
    this.#outbox.remove(id);
    this.#changed('conversation', this.open);
  }

  /** Without a connection, or when it breaks before the run has ended, the stop is sent with the next one. */
  stop() {
    const run = this.active(this.open);
    if (!run) return;
    this.#transmit({ type: 'stop', run: run.run });
    const state = this.conversations.get(this.open);
    if (state) this.#keep(markStopping(state, run.run));
  }

  async readOlder() {
    const id = this.open;
    const first = this.conversations.get(id)?.messages.find((message) => message.seq !== null);
    if (!first) return;
    const page = await this.#api.messages(id, { before: first.seq });
    const state = this.conversations.get(id);
    if (state) this.#keep(prependMessages(state, page));
  }

  async remove(id) {
    await this.list.remove(id);
    this.#outbox.removeConversation(id);
    this.#detach(id);
    this.conversations.delete(id);
  }

  /** Another person signs in: nothing of the former one may stay. */
  reset() {
    this.#outbox.clear();
    this.conversations.clear();
    this.#attached.clear();
    this.list.clear();
    this.show(null);
  }

  #welcome(frame) {
    this.agents = frame.agents ?? [];
    this.limits = frame.limits ?? {};
    this.degraded.clear();
    this.draining = false;
    for (const id of this.conversations.keys()) if (this.#wanted(id) && !this.#attached.has(id)) this.#attach(id);
    this.#sender.restart();
    this.#stopAgain();
    for (const topic of ['agents', 'parts']) this.#changed(topic);
    this.#changed('conversation', this.open);
  }

  #stopAgain() {
    const runs = [...this.conversations.values()].flatMap((state) => state.runs);
    for (const { run, status } of runs) if (status === 'stopping') this.#transmit({ type: 'stop', run });
  }

  #accepted(frame) {
    const entry = this.#outbox.get(frame.id);
    if (!entry) return;
    this.#outbox.accept(frame.id, frame);
    if (isDraft(entry.conversation)) this.#begin(entry, frame.conversation);
    else if (!this.conversations.has(frame.conversation)) this.#resnapshot(frame.conversation);
    this.#outbox.settle(this.conversations.get(frame.conversation));
    this.#sender.flush();
    this.#changed('conversation', frame.conversation);
  }

  /** A draft has become a conversation; `send` has attached it from its first message on. */
  #begin(entry, id) {
    if (!this.conversations.has(id)) this.conversations.set(id, emptyConversation(id));
    this.#attached.add(id);
    this.list.begin(id, entry.text);
    if (this.open !== entry.conversation) return;
    this.open = id;
    this.#changed('opened', id);
  }

  #event(frame) {
    const state = this.conversations.get(frame.conversation);
    if (!state) return;
    const { state: next, effects } = applyEvent(state, frame);
    this.#keep(next);
    for (const effect of effects) this.#perform(frame.conversation, effect);
    if (frame.type === 'message' && next !== state) this.list.touch(frame.conversation);
    if (!next.runs.length && !next.stale) this.#letGo(frame.conversation);
  }

  #perform(id, effect) {
    if (effect.type === 'resnapshot') this.#resnapshot(id);
    if (effect.type === 'verify') this.#verify(id, effect);
    if (effect.type === 'ended') this.#changed('ended', id, effect);
  }

  async #verify(id, { run, text, sha256 }) {
    const digest = await this.#digest(text);
    const state = this.conversations.get(id);
    if (digest === null || !state) return;
    if (digest === sha256) this.#keep(markVerified(state, run));
    else this.#resnapshot(id);
  }

  /** What is held cannot be proved right: ask for all of it, but never in a storm. */
  #resnapshot(id) {
    const wait = Math.max(0, (this.#resnapshots.get(id) ?? 0) + RESNAPSHOT_GAP_MS - Date.now());
    this.#resnapshots.set(id, Date.now() + wait);
    this.#keep(awaitSnapshot(this.conversations.get(id) ?? emptyConversation(id)));
    setTimeout(() => this.conversations.has(id) && this.#attach(id), wait);
  }

  #error(frame) {
    if (frame.id && this.#outbox.get(frame.id)) return this.#refused(frame);
    if (frame.conversation && frame.error.code === 'not_found') return this.#lost(frame);
    const state = !frame.run && this.conversations.get(frame.conversation);
    if (state?.cursor && frame.error.code === 'invalid_request') return this.#resnapshot(state.id);
    if (frame.error.code !== 'unauthenticated') this.#notice(frame.error);
  }

  #refused({ id, error }) {
    const { conversation } = this.#outbox.get(id);
    this.#sender.refused(id, error);
    this.#changed('conversation', conversation);
  }

  #lost({ conversation, error }) {
    this.conversations.delete(conversation);
    this.#attached.delete(conversation);
    this.#notice({ ...error, message: 'That conversation does not exist, or it is not yours.' });
    if (this.open === conversation) this.#changed('gone', conversation);
  }

  #wanted(id) {
    return id === this.open || this.busy(id);
  }

  #hold(id) {
    const state = this.conversations.get(id) ?? emptyConversation(id);
    this.conversations.delete(id);
    this.conversations.set(id, state);
    for (const old of this.conversations.keys()) {
      if (this.conversations.size <= HELD) break;
      if (!this.#wanted(old)) this.conversations.delete(old);
    }
    if (!this.#attached.has(id)) this.#attach(id);
  }

  #letGo(id) {
    if (!this.#wanted(id)) this.#detach(id);
  }

  #attach(id) {
    if (this.#transmit({ type: 'attach', ...attachment(this.conversations.get(id)) })) this.#attached.add(id);
  }

  #detach(id) {
    if (this.#attached.delete(id)) this.#transmit({ type: 'detach', conversation: id });
  }

  #transmit(frame) {
    return this.#connection?.send(frame) ?? false;
  }

  #keep(state) {
    this.conversations.set(state.id, state);
    this.#outbox.settle(state);
    this.#changed('conversation', state.id);
  }

  #parts(change, parts) {
    for (const part of parts) this.degraded[change](part);
    this.#changed('parts');
  }

  #drain() {
    this.draining = true;
    this.#changed('parts');
  }
}

function attachment({ id, cursor }) {
  return cursor ? { conversation: id, after: cursor } : { conversation: id };
}
