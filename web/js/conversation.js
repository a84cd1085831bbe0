/**
 * One conversation as the event log tells it: pure functions from (state, frame) to state.
 *
 * `applyEvent` returns `{state, effects}`. Effects are what only the outside can do:
 *   {type: "resnapshot"}                       the state cannot be proved right: attach again without a cursor
 *   {type: "verify", run, text, sha256}        compare the finished answer's digest
 *   {type: "ended", run, status}               tell the person
 *
 * Entries (messages and unfinished runs) are never changed in place: a view may compare them by identity.
 */

/** Messages in a snapshot, at most. */
const PAGE = 50;

/** @param {string} id the conversation */
export function emptyConversation(id) {
  return { id, cursor: null, loaded: false, stale: false, hasMore: false, messages: [], runs: [] };
}

/** What the client knows may be wrong: ignore events until the next snapshot. */
export function awaitSnapshot(state) {
  return { ...state, stale: true, cursor: null };
}

export function applyEvent(state, frame) {
  if (frame.type === 'snapshot') return applySnapshot(state, frame);
  const apply = APPLY[frame.type];
  if (state.stale) return unchanged(state);
  const next = { ...state, cursor: frame.cursor ?? state.cursor, loaded: true };
  return apply ? apply(next, frame) : unchanged(next);
}

/** Older messages of a page that ends just before the first one held. */
export function prependMessages(state, page) {
  const known = new Set(state.messages.map((message) => message.id));
  const older = page.data.filter((raw) => !known.has(raw.id)).map((raw) => fromWire(raw));
  return { ...state, messages: [...older, ...state.messages], hasMore: page.has_more };
}

/** The digest of a run's answer was compared and is right. */
export function markVerified(state, run) {
  return {
    ...state,
    messages: state.messages.map((m) => (m.run === run ? { ...m, verified: true } : m)),
  };
}

/** A stop was asked for; the log has not confirmed it yet. */
export function markStopping(state, run) {
  return { ...state, runs: state.runs.map((r) => (r.run === run ? { ...r, status: 'stopping' } : r)) };
}

/** The run a person means by "stop": the one that speaks, else the first that waits. */
export function activeRun(state) {
  return state.runs.find((run) => run.status !== 'queued') ?? state.runs[0] ?? null;
}

/** Messages and unfinished runs in reading order: each answer below the message it replies to. */
export function timeline(state) {
  const answers = new Map();
  const known = new Set(state.messages.map((message) => message.id));
  const loose = [];
  for (const entry of [...state.messages, ...state.runs]) {
    if (entry.role !== 'assistant') continue;
    if (!known.has(entry.replyTo)) loose.push(entry);
    else answers.set(entry.replyTo, [...(answers.get(entry.replyTo) ?? []), entry]);
  }
  const looseSet = new Set(loose);
  const ordered = [];
  for (const message of state.messages) {
    if (message.role === 'assistant' && !looseSet.has(message)) continue;
    ordered.push(message, ...(answers.get(message.id) ?? []));
  }
  return [...ordered, ...loose.filter((entry) => state.runs.includes(entry))];
}

const APPLY = {
  message: applyMessage,
  'message.committed': applyCommitted,
  'run.started': applyStarted,
  delta: applyDelta,
  rewind: applyRewind,
  'run.completed': applyCompleted,
  'run.stopped': applyStopped,
  'run.failed': applyFailed,
};

function unchanged(state) {
  return { state, effects: [] };
}

function resnapshot(state) {
  return { state: awaitSnapshot(state), effects: [{ type: 'resnapshot' }] };
}

function fromWire(raw, extra = {}) {
  return {
    key: extra.clientId ?? extra.run ?? raw.id,
    id: raw.id,
    seq: raw.seq ?? null,
    role: raw.role,
    text: raw.text,
    agent: raw.agent ?? null,
    model: raw.model ?? null,
    replyTo: raw.reply_to ?? null,
    status: raw.status ?? 'complete',
    createdAt: raw.created_at ?? null,
    durability: raw.seq === null ? 'pending' : 'committed',
    run: null,
    clientId: null,
    ...extra,
  };
}

function newRun(run, fields) {
  return {
    key: run,
    run,
    id: null,
    role: 'assistant',
    status: 'queued',
    agent: null,
    model: null,
    replyTo: null,
    text: '',
    base: 0,
    starts: [],
    createdAt: null,
    ...fields,
  };
}

function applySnapshot(state, frame) {
  const live = new Set(frame.runs.map((raw) => raw.run));
  const messages = frame.messages.map((raw) => recognise(state, live, raw));
  const older = contiguous(state.messages, messages);
  const cut = messages.length >= PAGE && messages[0].seq !== 1;
  const waiting = unanswered(messages);
  const runs = frame.runs.map((raw, place) => resumeRun(state, raw, waiting[place]?.id ?? null));
  return unchanged({
    ...state,
    cursor: frame.cursor,
    loaded: true,
    stale: false,
    messages: [...older, ...messages],
    runs,
    hasMore: older.length ? state.hasMore : cut,
  });
}

/** A snapshot's message: the very entry held when nothing of it changed, else one with the same key. */
function recognise(state, live, raw) {
  const old = state.messages.find((message) => message.id === raw.id);
  if (old && same(old, raw)) return old;
  if (old) return fromWire(raw, { run: old.run, clientId: old.clientId, key: old.key });
  const ended = raw.reply_to && state.runs.find((run) => run.replyTo === raw.reply_to && !live.has(run.run));
  return fromWire(raw, ended ? { run: ended.run, key: ended.key } : {});
}

function resumeRun(state, raw, waiting) {
  const old = state.runs.find((run) => run.run === raw.run);
  return newRun(raw.run, {
    status: old?.status === 'stopping' ? 'stopping' : 'running',
    agent: raw.agent ?? old?.agent ?? null,
    model: raw.model ?? old?.model ?? null,
    replyTo: raw.reply_to ?? old?.replyTo ?? waiting,
    text: raw.text,
    base: raw.index,
  });
}

function same(message, raw) {
  return (
    message.text === raw.text && message.status === (raw.status ?? 'complete') && message.seq === (raw.seq ?? null)
  );
}

/** Messages held that come right before `messages`, so that pages read earlier survive a snapshot. */
function contiguous(held, messages) {
  const first = messages[0]?.seq;
  if (!first) return [];
  const older = held.filter((message) => message.seq !== null && message.seq < first);
  return older.at(-1)?.seq === first - 1 ? older : [];
}

function unanswered(messages) {
  const answered = new Set(messages.map((message) => message.replyTo));
  const lastAnswer = messages.findLastIndex((message) => message.role === 'assistant');
  return messages.slice(lastAnswer + 1).filter((m) => m.role === 'user' && !answered.has(m.id));
}

function applyMessage(state, frame) {
  if (state.messages.some((message) => message.id === frame.message.id)) return unchanged(state);
  const message = fromWire(frame.message, { clientId: frame.id ?? null, key: frame.id ?? frame.message.id });
  const queued = frame.run && !hasRun(state, frame.run) ? [newRun(frame.run, { replyTo: message.id })] : [];
  return unchanged({ ...state, messages: [...state.messages, message], runs: [...state.runs, ...queued] });
}

function hasRun(state, run) {
  return (
    state.runs.some((known) => known.run === run) || state.messages.some((m) => m.run === run && m.role === 'assistant')
  );
}

function applyCommitted(state, frame) {
  const commit = (m) => (m.id === frame.message ? { ...m, seq: frame.seq, durability: 'committed' } : m);
  return unchanged({ ...state, messages: state.messages.map(commit) });
}

function applyStarted(state, frame) {
  const fields = {
    status: 'running',
    agent: frame.agent,
    model: frame.model,
    replyTo: frame.reply_to ?? null,
  };
  if (state.runs.some((run) => run.run === frame.run)) return unchanged(withRun(state, frame.run, fields));
  if (hasRun(state, frame.run)) return unchanged(state);
  return unchanged({ ...state, runs: [...state.runs, newRun(frame.run, fields)] });
}

function withRun(state, run, fields) {
  const change = (known) => (known.run === run ? { ...known, ...fields, status: keepStopping(known, fields) } : known);
  return { ...state, runs: state.runs.map(change) };
}

function keepStopping(known, fields) {
  return known.status === 'stopping' ? 'stopping' : (fields.status ?? known.status);
}

function applyDelta(state, frame) {
  const run = state.runs.find((known) => known.run === frame.run);
  if (!run) return hasRun(state, frame.run) ? unchanged(state) : resnapshot(state);
  const expected = run.base + run.starts.length;
  if (frame.index < expected) return unchanged(state);
  if (frame.index > expected) return resnapshot(state);
  const fields = { status: 'running', text: run.text + frame.text, starts: [...run.starts, run.text.length] };
  return unchanged(withRun(state, frame.run, fields));
}

function applyRewind(state, frame) {
  const run = state.runs.find((known) => known.run === frame.run);
  if (!run) return hasRun(state, frame.run) ? unchanged(state) : resnapshot(state);
  const cut = cutAt(run, frame.index);
  return cut ? unchanged(withRun(state, frame.run, cut)) : resnapshot(state);
}

/** The run with only its deltas below `index`; null when the boundary lies inside a snapshot's text. */
function cutAt(run, index) {
  const place = index - run.base;
  if (index === 0) return { text: '', base: 0, starts: [] };
  if (place < 0 || place > run.starts.length) return null;
  if (place === run.starts.length) return {};
  return { text: run.text.slice(0, run.starts[place]), starts: run.starts.slice(0, place) };
}

function applyCompleted(state, frame) {
  return finish(state, frame, {
    status: 'complete',
    agent: frame.agent,
    model: frame.model,
    seq: frame.seq ?? null,
    finishReason: frame.finish_reason ?? null,
    usage: frame.usage ?? null,
    attempts: frame.attempts ?? 1,
    durability: frame.durability ?? 'committed',
  });
}

function applyStopped(state, frame) {
  return finish(state, frame, { status: 'stopped' });
}

function applyFailed(state, frame) {
  return finish(state, frame, { status: 'failed', error: frame.error });
}

function finish(state, frame, fields) {
  if (!state.runs.some((run) => run.run === frame.run) && hasRun(state, frame.run)) return unchanged(state);
  const run = state.runs.find((known) => known.run === frame.run) ?? (frame.message ? null : newRun(frame.run));
  if (!run) return resnapshot(state);
  const whole = frame.deltas === undefined || frame.deltas === run.base + run.starts.length;
  if (!whole) return resnapshot(state);
  const { base, starts, ...kept } = run;
  const message = {
    ...kept,
    durability: 'committed',
    seq: null,
    ...fields,
    id: frame.message ?? run.run,
    verified: false,
  };
  const next = {
    ...state,
    messages: [...state.messages, message],
    runs: state.runs.filter((known) => known.run !== frame.run),
  };
  const effects = [{ type: 'ended', run: frame.run, status: fields.status, agent: message.agent, text: run.text }];
  if (frame.sha256) effects.push({ type: 'verify', run: frame.run, text: run.text, sha256: frame.sha256 });
  return { state: next, effects };
}
