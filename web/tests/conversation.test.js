import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  activeRun,
  applyEvent,
  awaitSnapshot,
  emptyConversation,
  markStopping,
  prependMessages,
  timeline,
} from '../js/conversation.js';

const C = 'c1';
let at = 0;

function event(type, fields) {
  at += 1;
  return { type, conversation: C, cursor: `1.${at}`, ...fields };
}

function raw(id, seq, role, fields = {}) {
  return {
    id,
    seq,
    role,
    text: `${role} ${seq}`,
    agent: null,
    model: null,
    reply_to: null,
    status: 'complete',
    created_at: null,
    metadata: {},
    ...fields,
  };
}

function said(id, seq, run) {
  return event('message', { message: raw(id, seq, 'user'), id: `client-${id}`, run });
}

function started(run, message) {
  return event('run.started', { run, agent: 'gemini', model: 'g', reply_to: message });
}

function delta(run, index, text) {
  return event('delta', { run, index, text });
}

function play(frames, state = emptyConversation(C)) {
  const effects = [];
  for (const frame of frames) {
    const result = applyEvent(state, frame);
    state = result.state;
    effects.push(...result.effects);
  }
  return { state, effects };
}

function texts(state) {
  return timeline(state).map((entry) => entry.text);
}

test('an answer grows by its deltas and ends as a message of the same key', () => {
  const live = play([said('m1', 1, 'r1'), started('r1', 'm1'), delta('r1', 0, 'Hel'), delta('r1', 1, 'lo')]);
  assert.deepEqual(texts(live.state), ['user 1', 'Hello']);
  const done = play(
    [
      event('run.completed', {
        run: 'r1',
        message: 'a1',
        seq: 2,
        deltas: 2,
        sha256: 'x',
        agent: 'gpt',
        model: 'm',
      }),
    ],
    live.state,
  );
  const answer = timeline(done.state).at(-1);
  assert.equal(answer.key, 'r1');
  assert.equal(answer.status, 'complete');
  assert.equal(answer.agent, 'gpt');
  assert.deepEqual(
    done.effects.map((effect) => effect.type),
    ['ended', 'verify'],
  );
  assert.equal(activeRun(done.state), null);
});

test('events repeated after a resume change nothing', () => {
  const frames = [said('m1', 1, 'r1'), started('r1', 'm1'), delta('r1', 0, 'a'), delta('r1', 1, 'b')];
  const twice = play([...frames, ...frames]);
  assert.deepEqual(texts(twice.state), ['user 1', 'ab']);
  assert.deepEqual(twice.effects, []);
});

test('a missing delta asks for a snapshot and ignores events until it comes', () => {
  const gap = play([
    said('m1', 1, 'r1'),
    started('r1', 'm1'),
    delta('r1', 0, 'a'),
    delta('r1', 2, 'c'),
    delta('r1', 3, 'd'),
  ]);
  assert.deepEqual(gap.effects, [{ type: 'resnapshot' }]);
  assert.equal(gap.state.cursor, null);
  const healed = play(
    [
      event('snapshot', {
        messages: [raw('m1', 1, 'user')],
        runs: [{ run: 'r1', agent: 'g', index: 4, text: 'abcd' }],
      }),
      delta('r1', 4, 'e'),
    ],
    gap.state,
  );
  assert.deepEqual(texts(healed.state), ['user 1', 'abcde']);
});

test('rewind drops later deltas and numbering goes on from there', () => {
  const rewound = play([
    said('m1', 1, 'r1'),
    started('r1', 'm1'),
    delta('r1', 0, 'a'),
    delta('r1', 1, 'b'),
    delta('r1', 2, 'c'),
    event('rewind', { run: 'r1', index: 1 }),
    delta('r1', 1, 'X'),
  ]);
  assert.deepEqual(texts(rewound.state), ['user 1', 'aX']);
});

test('rewind to before what a snapshot told in one piece needs a new snapshot, to the very beginning it does not', () => {
  const snapshot = event('snapshot', {
    messages: [raw('m1', 1, 'user')],
    runs: [{ run: 'r1', agent: 'g', index: 5, text: 'abcde' }],
  });
  assert.deepEqual(play([snapshot, event('rewind', { run: 'r1', index: 3 })]).effects, [{ type: 'resnapshot' }]);
  const begun = play([snapshot, event('rewind', { run: 'r1', index: 0 }), delta('r1', 0, 'new')]);
  assert.deepEqual(texts(begun.state), ['user 1', 'new']);
});

test('a completed run with another number of deltas is not believed', () => {
  const short = play([
    said('m1', 1, 'r1'),
    started('r1', 'm1'),
    delta('r1', 0, 'a'),
    event('run.completed', { run: 'r1', message: 'a1', seq: 2, deltas: 2, sha256: 'x' }),
  ]);
  assert.deepEqual(short.effects, [{ type: 'resnapshot' }]);
});

test('answers stand below the messages they reply to, also while others wait', () => {
  const { state } = play([said('m1', 1, 'r1'), said('m2', 2, 'r2'), started('r1', 'm1'), delta('r1', 0, 'one')]);
  assert.deepEqual(texts(state), ['user 1', 'one', 'user 2', '']);
  assert.equal(activeRun(state).run, 'r1');
});

test('a run of a snapshot without reply_to answers the first unanswered message', () => {
  const messages = [
    raw('m1', 1, 'user'),
    raw('a1', 2, 'assistant', { reply_to: 'm1' }),
    raw('m2', 3, 'user'),
    raw('m3', 4, 'user'),
  ];
  const { state } = play([event('snapshot', { messages, runs: [{ run: 'r2', agent: 'g', index: 1, text: 'live' }] })]);
  assert.deepEqual(texts(state), ['user 1', 'assistant 2', 'user 3', 'live', 'user 4']);
});

test('a snapshot keeps unchanged entries, earlier pages and the key of an answer that ended meanwhile', () => {
  const first = play([
    event('snapshot', {
      messages: [raw('m3', 3, 'user')],
      runs: [{ run: 'r3', agent: 'g', index: 1, text: 'li' }],
    }),
  ]).state;
  const paged = prependMessages(first, {
    data: [raw('m1', 1, 'user'), raw('a1', 2, 'assistant', { reply_to: 'm1' })],
    has_more: false,
  });
  const next = play(
    [
      event('snapshot', {
        messages: [raw('m3', 3, 'user'), raw('a3', 4, 'assistant', { reply_to: 'm3' })],
        runs: [],
      }),
    ],
    paged,
  ).state;
  assert.deepEqual(
    next.messages.map((message) => message.id),
    ['m1', 'a1', 'm3', 'a3'],
  );
  assert.equal(next.messages[2], paged.messages[2]);
  assert.equal(next.messages[3].key, 'r3');
});

test('a failure before any word is shown below its message', () => {
  const { state } = play([
    said('m1', 1, 'r1'),
    event('run.failed', { run: 'r1', message: null, error: { code: 'unavailable', message: 'no' } }),
  ]);
  assert.deepEqual(
    timeline(state).map((entry) => entry.status),
    ['complete', 'failed'],
  );
});

test('a pending message becomes committed', () => {
  const { state } = play([event('message', { message: raw('m1', null, 'user'), id: 'x', run: 'r1' })]);
  assert.equal(state.messages[0].durability, 'pending');
  const later = play([event('message.committed', { message: 'm1', seq: 1 })], state).state;
  assert.deepEqual([later.messages[0].durability, later.messages[0].seq], ['committed', 1]);
});

test('a run asked to stop says so until the log ends it', () => {
  const live = play([said('m1', 1, 'r1'), started('r1', 'm1'), delta('r1', 0, 'a')]).state;
  const { state } = play([delta('r1', 1, 'b')], markStopping(live, 'r1'));
  assert.equal(activeRun(state).status, 'stopping');
  const ended = play([event('run.stopped', { run: 'r1', message: 'a1', deltas: 2, sha256: 'x' })], state).state;
  assert.equal(timeline(ended).at(-1).status, 'stopped');
});

test('unknown event types only move the cursor, and none counts while a snapshot is awaited', () => {
  const { state } = play([event('something.new', {})]);
  assert.equal(state.cursor, `1.${at}`);
  assert.equal(play([said('m1', 1, 'r1')], awaitSnapshot(state)).state.messages.length, 0);
});
