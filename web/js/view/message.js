/** One entry of the transcript: a person's message or an agent's answer, kept in step with its state. */

import { Markdown } from '../markdown.js';
import { copy } from './clipboard.js';
import { h, icon, iconButton } from './element.js';

const HUES = 6;

export class MessageView {
  #markdown = null;
  #entry = null;
  #words;
  #meta;
  #head;
  #foot;
  #text;

  /** @param {object} words `agents()`, `simulated(agent)` and `connected()` tell; `retry(id)` and `discard(id)` act on unsent messages, `askAgain(id)` on one whose answer failed */
  constructor(entry, words) {
    this.#words = words;
    this.#text = h('div', { class: 'text', data: { testid: 'message-text' } });
    this.#head = h('header', { class: 'message-head' });
    this.#meta = h('div', { class: 'message-meta' });
    this.#foot = h('footer', { class: 'message-foot' }, this.#meta);
    this.element = h(
      'article',
      { class: `message ${entry.role}`, data: { testid: 'message', role: entry.role } },
      this.#head,
      this.#text,
      this.#foot,
    );
    if (entry.role !== 'user') this.#becomeAnswer();
    this.update(entry);
  }

  update(entry) {
    if (entry === this.#entry) return;
    const before = this.#entry;
    this.#entry = entry;
    this.#mark(entry);
    if (before?.text !== entry.text || before?.status !== entry.status) this.#write(entry);
    if (changed(before, entry)) this.#describe(entry);
  }

  /** What only the session knows (which agents are simulated) may have changed. */
  describe() {
    this.#describe(this.#entry);
  }

  #becomeAnswer() {
    this.#markdown = new Markdown(this.#text);
    this.#text.classList.add('prose');
    this.#foot.append(
      iconButton('copy', 'Copy answer', {
        class: 'copy-answer',
        on: { click: (event) => copy(event.currentTarget, this.#entry.text) },
      }),
    );
    this.element.addEventListener('click', ({ target }) => {
      const button = target.closest('[data-copy=code]');
      if (button) copy(button, button.closest('.code').querySelector('code').textContent);
    });
  }

  #mark({ role, status, run, agent, id, verified, durability }) {
    this.element.ariaLabel = role === 'user' ? 'You' : (agent ?? 'Answer');
    Object.assign(this.element.dataset, { status, run: run ?? '', agent: agent ?? '', message: id ?? '' });
    this.element.dataset.durability = durability ?? '';
    this.element.dataset.verified = verified ? 'true' : '';
    this.element.ariaBusy = status === 'running' || status === 'queued' ? 'true' : null;
  }

  #write({ role, status, text }) {
    if (role === 'user') return void (this.#text.textContent = text);
    this.#markdown.update(text, status !== 'running' && status !== 'queued');
  }

  #describe(entry) {
    if (entry.role !== 'user') renew(this.#head, this.#byline(entry));
    renew(this.#meta, entry.role === 'user' ? this.#delivery(entry) : this.#outcome(entry));
    this.#meta.title = particulars(entry);
  }

  #byline({ agent, model, status }) {
    const name = agent ?? (status === 'queued' ? 'Waiting' : 'Agent');
    return [
      avatar(agent, this.#words.agents()),
      h('span', { class: 'agent-name' }, name),
      model ? h('span', { class: 'model' }, model) : null,
      agent && this.#words.simulated(agent)
        ? h(
            'span',
            { class: 'tag', title: 'Answered by the built-in simulator: this provider has no key' },
            'simulated',
          )
        : null,
    ].filter(Boolean);
  }

  #delivery({ status, error, id, durability }) {
    if (status === 'failed') {
      return [
        h('span', { class: 'trouble', icon: 'warn' }, readable(error)),
        h('button', { type: 'button', class: 'link', on: { click: () => this.#words.retry(id) } }, 'Try again'),
        h('button', { type: 'button', class: 'link', on: { click: () => this.#words.discard(id) } }, 'Discard'),
      ];
    }
    if (status === 'pending') return [h('span', { class: 'delivery' }, this.#progress(error))];
    return durability === 'pending' ? [savedLater()] : [];
  }

  #outcome({ status, error, finishReason, durability, replyTo }) {
    const notes = [];
    if (status === 'stopping') notes.push(h('span', {}, 'Stopping…'));
    if (status === 'stopped') notes.push(h('span', { class: 'note' }, 'Stopped'));
    if (status === 'failed') notes.push(h('span', { class: 'trouble', role: 'alert' }, icon('warn'), readable(error)));
    if (status === 'failed' && replyTo) {
      const again = () => this.#words.askAgain(replyTo);
      notes.push(h('button', { type: 'button', class: 'link', on: { click: again } }, 'Ask again'));
    }
    if (finishReason === 'length') notes.push(h('span', { class: 'note' }, 'Cut at the length limit'));
    if (durability === 'pending') notes.push(savedLater());
    return notes;
  }

  #progress(error) {
    if (!this.#words.connected()) return 'Waiting for the connection';
    return error ? `${readable(error)} Trying again…` : 'Sending…';
  }
}

function changed(before, entry) {
  if (!before) return true;
  return ['status', 'agent', 'model', 'error', 'durability', 'finishReason', 'id', 'createdAt'].some(
    (field) => before[field] !== entry[field],
  );
}

/** New children, unless they would look the same: animations go on, the focus stays. */
function renew(parent, children) {
  const before = parent.childNodes;
  const same = before.length === children.length && children.every((child, place) => child.isEqualNode(before[place]));
  if (!same) parent.replaceChildren(...children);
}

function savedLater() {
  return h(
    'span',
    { class: 'note', title: 'The database is away; this is kept safe and will be saved when it is back' },
    'Not saved yet',
  );
}

function particulars({ createdAt, usage, attempts }) {
  const parts = [];
  if (createdAt) parts.push(new Date(createdAt).toLocaleString());
  if (usage) parts.push(`${usage.input_tokens ?? '?'} tokens in, ${usage.output_tokens ?? '?'} out`);
  if (attempts > 1) parts.push(`${attempts} attempts`);
  return parts.join(' · ');
}

export function readable(error) {
  const message = error?.message ?? 'The answer could not be finished.';
  return /[.!?…]$/.test(message) ? message : `${message}.`;
}

function hue(name, agents) {
  const place = agents.findIndex((agent) => agent.name === name);
  if (place >= 0) return place % HUES;
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 9973;
  return sum % HUES;
}

/** An agent's first letter in its own lasting colour. @param {string | null} name @param {{name: string}[]} agents all of them */
export function avatar(name, agents, letter = name?.[0].toUpperCase() ?? '') {
  const tint = name ? `hue-${hue(name, agents)}` : '';
  return h('span', { class: `avatar ${tint}`, 'aria-hidden': 'true' }, letter);
}
