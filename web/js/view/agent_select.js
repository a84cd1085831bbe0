/** Who answers: one of the agents, or whoever the rules choose. */

import { h } from './element.js';

const SLOT = 'parley.agent';

export class AgentSelect {
  #session;
  #storage;
  #changed;
  #simulated = new Set();

  constructor({ session, storage, changed }) {
    this.#session = session;
    this.#storage = storage;
    this.#changed = changed;
    this.element = h('select', {
      class: 'agent-select',
      'aria-label': 'Agent',
      data: { testid: 'agent-select' },
      on: { change: () => this.choose(this.element.value) },
    });
    this.agentsChanged();
  }

  /** The chosen agent's name; empty for automatic. */
  get value() {
    return this.element.value;
  }

  choose(name) {
    this.element.value = name;
    this.#storage.setItem(SLOT, name);
    this.#changed();
  }

  agentsChanged() {
    const options = this.#session.agents.map(({ name, description }) =>
      h('option', { value: name, title: description }, name),
    );
    this.element.replaceChildren(h('option', { value: '' }, 'Automatic'), ...options);
    const before = this.#storage.getItem(SLOT) ?? '';
    this.element.value = this.#session.agents.some(({ name }) => name === before) ? before : '';
  }

  /** @param {string[]} simulated providers */
  learn(simulated) {
    this.#simulated = new Set(simulated);
  }

  simulated(agent) {
    return this.#simulated.has(this.#session.agents.find(({ name }) => name === agent)?.provider);
  }
}
