import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Outbox, newDraft, sendFrame } from '../js/outbox.js';
import { Sender } from '../js/sender.js';

function storage() {
  const slots = new Map();
  return { getItem: (name) => slots.get(name) ?? null, setItem: (name, value) => slots.set(name, value) };
}

test('of a draft only the first message is sent until the conversation exists, then the rest goes there', () => {
  const outbox = new Outbox(storage());
  const conversation = newDraft();
  outbox.add({ id: 'a', conversation, text: '1', agent: null });
  outbox.add({ id: 'b', conversation, text: '2', agent: 'gpt' });
  assert.deepEqual(
    outbox.ready().map((entry) => entry.id),
    ['a'],
  );
  outbox.accept('a', { conversation: 'c1', message: 'm1', run: 'r1', durability: 'committed' });
  assert.deepEqual(sendFrame(outbox.get('b')), {
    type: 'send',
    id: 'b',
    text: '2',
    conversation: 'c1',
    agent: 'gpt',
  });
});

test('a message is sent again with the very same payload, also when it began the conversation', () => {
  const outbox = new Outbox(storage());
  outbox.add({ id: 'a', conversation: newDraft(), text: '1', agent: null });
  const before = sendFrame(outbox.get('a'));
  outbox.accept('a', { conversation: 'c1', message: 'm1', run: 'r1', durability: 'committed' });
  assert.deepEqual(sendFrame(outbox.get('a')), before);
});

test('what is unsent survives a reload, and goes when the conversation shows it', () => {
  const slots = storage();
  new Outbox(slots).add({ id: 'a', conversation: 'c1', text: '1', agent: null });
  const outbox = new Outbox(slots);
  assert.equal(outbox.of('c1').length, 1);
  outbox.settle({ id: 'c1', messages: [{ id: 'm1', clientId: 'a' }] });
  assert.equal(outbox.entries.length, 0);
});

test('a message is sent once a socket and again on the next', () => {
  const outbox = new Outbox(storage());
  const sent = [];
  let connected = false;
  const sender = new Sender(outbox, (frame) => connected && sent.push(frame.id) > 0);
  outbox.add({ id: 'a', conversation: 'c1', text: '1', agent: null });
  sender.flush();
  connected = true;
  sender.flush();
  sender.flush();
  assert.deepEqual(sent, ['a']);
  sender.restart();
  assert.deepEqual(sent, ['a', 'a']);
});

test('a final refusal marks the message as failed and lets the next of a draft begin the conversation', () => {
  const outbox = new Outbox(storage());
  const conversation = newDraft();
  outbox.add({ id: 'a', conversation, text: '1', agent: null });
  outbox.add({ id: 'b', conversation, text: '2', agent: null });
  new Sender(outbox, () => true).refused('a', { code: 'too_large', message: 'no', retryable: false });
  assert.equal(outbox.get('a').status, 'failed');
  assert.deepEqual(
    outbox.ready().map((entry) => entry.id),
    ['b'],
  );
});
