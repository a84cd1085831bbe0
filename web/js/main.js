/** The composition root: what is made of what, and who is told of which change. */

import { Api } from './api.js';
import { ConversationList } from './conversation_list.js';
import { Credentials } from './credentials.js';
import { sha256Hex } from './digest.js';
import { isDraft, Outbox } from './outbox.js';
import { Session } from './session.js';
import { Connection } from './socket.js';
import { AgentSelect } from './view/agent_select.js';
import { Composer } from './view/composer.js';
import { ConnectionState } from './view/connection_state.js';
import { askForKey, confirm } from './view/dialogs.js';
import { EmptyState } from './view/empty_state.js';
import { Notices } from './view/notices.js';
import { Page } from './view/page.js';
import { Sidebar } from './view/sidebar.js';
import { Transcript } from './view/transcript.js';

const credentials = new Credentials(localStorage);
const api = new Api(() => credentials.key);
const tabs = new BroadcastChannel('parley');
const notices = new Notices();
const words = {
  agents: () => session.agents,
  simulated: (name) => agent.simulated(name),
  connected: () => connection.state.name === 'open',
  retry: (id) => session.retry(id),
  discard: (id) => session.discard(id),
  askAgain: (message) => session.askAgain(message, agent.value || null),
  attempt,
  confirm,
};

const list = new ConversationList(api, () => changed('list'));
const session = new Session({
  api,
  list,
  outbox: new Outbox(sessionStorage),
  digest: sha256Hex,
  key: () => credentials.key,
  changed,
  notice: (error) => notices.show(error),
});
const connection = new Connection({
  url: `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/v1/ws`,
  hello: () => session.hello(),
  onFrame: (frame) => session.receive(frame),
  onState: connectionChanged,
});
session.use(connection);

const agent = new AgentSelect({ session, storage: localStorage, changed: () => empty.choiceChanged() });
const composer = new Composer({ session, storage: sessionStorage, agent, sent: () => transcript.toEnd() });
const empty = new EmptyState({ session, agent, suggest: (text) => composer.suggest(text) });
const sidebar = new Sidebar({ session, words, open });
const state = new ConnectionState({
  session,
  retry: () => (connection.state.retryAt ? connection.wake() : connection.open()),
});
const page = new Page({ sidebar, composer, notices, connection: state, signOut });
const transcript = new Transcript({ session, scroll: page.scroll, empty, words });

const CHANGES = {
  agents: agentsChanged,
  parts: () => state.partsChanged(),
  list: listChanged,
  conversation: conversationChanged,
  opened: draftOpened,
  ended: (id, { status, agent: name, text }) =>
    id === session.open && page.announce(status === 'failed' ? 'The answer failed.' : `${name ?? 'Agent'}: ${text}`),
  gone: () => open(null),
};

function changed(topic, ...details) {
  CHANGES[topic](...details);
}

function agentsChanged() {
  agent.agentsChanged();
  empty.agentsChanged();
}

function listChanged() {
  sidebar.draw();
  retitle();
}

const busy = new Map();

function conversationChanged(id) {
  if (busy.get(id) !== session.busy(id)) {
    busy.set(id, session.busy(id));
    sidebar.draw();
  }
  if (id !== session.open) return;
  composer.changed();
  transcript.changed();
}

function draftOpened(id) {
  history.replaceState(null, '', `#c=${id}`);
  transcript.rename(id);
  composer.rename();
  sidebar.draw();
  retitle();
  tabs.postMessage('list');
}

function retitle() {
  const item = list.find(session.open);
  page.title(isDraft(session.open) ? '' : item?.title || item?.words || 'Conversation');
}

function open(id) {
  const address = id ? `#c=${id}` : location.pathname;
  if (linked() !== id) history.pushState(null, '', address);
  turnTo(id);
  page.drawer(false);
  composer.focus();
}

function turnTo(id) {
  session.show(id);
  composer.turn();
  sidebar.draw();
  retitle();
}

/** The conversation that the address names, or null. */
function linked() {
  return /^#c=([\w-]+)$/.exec(location.hash)?.[1] ?? null;
}

async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    if (error.status === 401) refused();
    else notices.show(error.status ? error : { message: 'The server cannot be reached just now.' });
    return null;
  }
}

function connectionChanged(next) {
  state.show(next);
  transcript.describeAll();
  if (next.name === 'open') refresh();
  if (next.code === 4401) refused();
}

async function refresh() {
  await Promise.all([attempt(() => list.refresh()), learnOfProviders().catch(() => {})]);
}

async function learnOfProviders() {
  const { simulated = [] } = await api.readiness();
  agent.learn(simulated);
  empty.agentsChanged();
  transcript.describeAll();
}

let asking = null;

function refused() {
  credentials.refuse();
  signIn('That key was not accepted. Please check it.');
}

function signIn(reason) {
  if (credentials.key) return connection.open();
  connection.close();
  asking ??= askForKey(reason).then((key) => {
    asking = null;
    credentials.set(key);
    connection.open();
  });
  return asking;
}

function signOut() {
  credentials.forget();
  connection.close();
  session.reset();
  open(null);
  signIn();
}

function listen() {
  addEventListener('popstate', () => turnTo(linked()));
  addEventListener('hashchange', () => linked() !== session.open && linked() && turnTo(linked()));
  addEventListener('online', () => connection.wake());
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && connection.wake());
  addEventListener('pageshow', (event) => event.persisted && connection.wake());
  tabs.addEventListener('message', () => attempt(() => list.refresh()));
  document.addEventListener('keydown', shortcut);
  document.querySelector('.skip').addEventListener('click', (event) => {
    event.preventDefault();
    page.scroll.focus();
  });
}

function shortcut(event) {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
    event.preventDefault();
    open(null);
  }
  if (event.key !== 'Escape' || document.querySelector('dialog[open]')) return;
  if (page.drawerOpen) page.drawer(false);
  else session.stop();
}

async function start() {
  listen();
  const settings = await api.settings().catch(() => ({}));
  credentials.offer(settings.development_key ?? null);
  turnTo(linked());
  composer.focus();
  signIn();
}

start();
