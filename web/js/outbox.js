/**
 * Messages a person has sent and the event log has not shown yet.
 *
 * Each keeps its client message id for life, so that sending it again is harmless. Kept in the tab's
 * storage: a reload forgets nothing. Of a conversation that does not exist yet (a draft) only the
 * first message is ready: it makes the conversation that the others go to.
 */

const SLOT = 'parley.outbox';

export class Outbox {
  #storage;

  /** @param {Storage} storage the tab's session storage, or anything with its getItem and setItem */
  constructor(storage) {
    this.#storage = storage;
    this.entries = JSON.parse(storage.getItem(SLOT) ?? '[]');
  }

  /** @param {{id, conversation, text, agent, createdAt}} fields `conversation` may be a draft's name */
  add(fields) {
    const entry = {
      key: fields.id,
      role: 'user',
      status: 'pending',
      tries: 0,
      error: null,
      message: null,
      run: null,
      creates: false,
      ...fields,
    };
    this.#keep([...this.entries, entry]);
    return entry;
  }

  of(conversation) {
    return this.entries.filter((entry) => entry.conversation === conversation);
  }

  get(id) {
    return this.entries.find((entry) => entry.id === id) ?? null;
  }

  /** Those that may be sent now. */
  ready() {
    const opened = new Set();
    return this.entries.filter((entry) => {
      if (entry.status === 'failed') return false;
      if (!isDraft(entry.conversation)) return true;
      const first = !opened.has(entry.conversation);
      opened.add(entry.conversation);
      return first;
    });
  }

  /** The server has it: `accepted`. A draft's other messages now know where they go. */
  accept(id, { conversation, message, run, durability }) {
    const accepted = this.get(id);
    const creates = accepted.creates || isDraft(accepted.conversation);
    this.#keep(
      this.entries.map((entry) => {
        if (entry === accepted)
          return {
            ...entry,
            status: 'accepted',
            error: null,
            conversation,
            message,
            run,
            durability,
            creates,
          };
        return creates && entry.conversation === accepted.conversation ? { ...entry, conversation } : entry;
      }),
    );
  }

  update(id, fields) {
    this.#keep(this.entries.map((entry) => (entry.id === id ? { ...entry, ...fields } : entry)));
  }

  remove(id) {
    this.#keep(this.entries.filter((entry) => entry.id !== id));
  }

  removeConversation(conversation) {
    this.#keep(this.entries.filter((entry) => entry.conversation !== conversation));
  }

  /** Forget what the conversation itself shows by now. */
  settle(state) {
    if (!this.entries.some((entry) => entry.conversation === state.id)) return;
    const ids = new Set(state.messages.map((message) => message.id));
    const clientIds = new Set(state.messages.map((message) => message.clientId));
    const shown = (entry) => ids.has(entry.message) || clientIds.has(entry.id);
    this.#keep(this.entries.filter((entry) => entry.conversation !== state.id || !shown(entry)));
  }

  clear() {
    this.#keep([]);
  }

  #keep(entries) {
    this.entries = entries;
    this.#storage.setItem(SLOT, JSON.stringify(entries));
  }
}

/** The `send` of an entry: the same whenever it is sent again, or the server would see a conflict. */
export function sendFrame({ id, conversation, creates, text, agent }) {
  const frame = { type: 'send', id, text };
  if (!creates && !isDraft(conversation)) frame.conversation = conversation;
  if (agent) frame.agent = agent;
  return frame;
}

export function newDraft() {
  return `draft:${randomId()}`;
}

export function isDraft(conversation) {
  return typeof conversation === 'string' && conversation.startsWith('draft:');
}

/** 128 random bits; `crypto.randomUUID` is missing on plain http. */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

const awaited = new WeakMap();

/** A message, and below it the answer that it waits for once the server has accepted it. */
export function withAwaited(entry) {
  if (entry.status !== 'accepted') return [entry];
  if (!awaited.has(entry))
    awaited.set(entry, { key: entry.run, run: entry.run, role: 'assistant', status: 'queued', text: '' });
  return [entry, awaited.get(entry)];
}
