/** What a new conversation shows: a greeting, the agents and a few ways to begin. */

import { h } from './element.js';
import { avatar } from './message.js';

const SUGGESTIONS = [
  ['Explain', 'how a bloom filter works, with a small example'],
  ['Write', 'a Python function that merges overlapping intervals, with tests'],
  ['Compare', 'PostgreSQL and SQLite in a table'],
  ['Plan', 'a quiet weekend in a city by the sea'],
];

export class EmptyState {
  #session;
  #chosen;
  #agents;
  #welcome;
  #loading;

  /** @param {{session, agent: AgentSelect, suggest: (text: string) => void}} wiring */
  constructor({ session, agent, suggest }) {
    this.#session = session;
    this.#chosen = agent;
    this.#agents = h('div', { class: 'agent-cards', role: 'group', 'aria-label': 'Who shall answer?' });
    const suggestions = SUGGESTIONS.map(([verb, text]) =>
      h(
        'button',
        {
          type: 'button',
          class: 'suggestion',
          data: { testid: 'suggestion' },
          on: { click: () => suggest(`${verb} ${text}`) },
        },
        h('strong', {}, verb),
        h('span', {}, text),
      ),
    );
    this.#welcome = h(
      'div',
      { class: 'welcome' },
      h('img', { src: '/static/favicon.svg', alt: '', width: 44, height: 44 }),
      h('h1', {}, 'What shall we talk about?'),
      this.#agents,
      h('div', { class: 'suggestions' }, ...suggestions),
    );
    this.#loading = h(
      'div',
      { class: 'skeleton', 'aria-label': 'Loading', role: 'status' },
      h('i'),
      h('i'),
      h('i'),
      h('i'),
    );
    this.element = h('div', { class: 'empty' }, this.#welcome, this.#loading);
    this.agentsChanged();
  }

  show(welcome, loading) {
    this.#welcome.hidden = !welcome;
    this.#loading.hidden = !loading;
    this.element.hidden = !welcome && !loading;
  }

  agentsChanged() {
    const automatic = {
      name: '',
      title: 'Automatic',
      description: 'Each message goes to the agent that suits it.',
    };
    const cards = this.#session.agents.length ? [automatic, ...this.#session.agents] : [];
    this.#agents.replaceChildren(...cards.map((agent) => this.#card(agent)));
  }

  /** Another agent was chosen. */
  choiceChanged() {
    for (const card of this.#agents.children) card.ariaPressed = String(card.dataset.agent === this.#chosen.value);
  }

  #card({ name, title = name, description = '' }) {
    const simulated = name && this.#chosen.simulated(name);
    return h(
      'button',
      {
        type: 'button',
        class: 'agent-card',
        data: { agent: name },
        'aria-pressed': String(this.#chosen.value === name),
        on: { click: () => this.#chosen.choose(name) },
      },
      h(
        'span',
        { class: 'agent-card-name' },
        name ? avatar(name, this.#session.agents) : avatar(null, [], '✦'),
        title,
        simulated ? h('span', { class: 'tag' }, 'simulated') : null,
      ),
      h('span', { class: 'agent-card-text' }, description),
    );
  }
}
