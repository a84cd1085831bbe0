/** The page: its regions, the drawer of small screens, and what is read aloud. */

import { h, iconButton } from './element.js';
import { toggleTheme } from './theme.js';

const SPOKEN_CHARS = 600;

export class Page {
  #drawerButton;
  #sidebar;
  #title;
  #live;
  #narrow = matchMedia('(max-width: 820px)');

  /** @param {{sidebar, composer, notices, connection, signOut: () => void}} parts */
  constructor({ sidebar, composer, notices, connection, signOut }) {
    this.scroll = h('div', { class: 'scroll', id: 'transcript', tabindex: -1 });
    this.#title = h('h1', { class: 'title' });
    this.#live = h('div', { class: 'visually-hidden', 'aria-live': 'polite' });
    this.#drawerButton = iconButton('menu', 'Conversations', {
      class: 'drawer-button',
      'aria-expanded': 'false',
      'aria-controls': 'sidebar',
      on: { click: () => this.drawer(true) },
    });
    this.#sidebar = h(
      'aside',
      { class: 'sidebar', id: 'sidebar' },
      brand(() => this.drawer(false)),
      sidebar.fresh,
      sidebar.element,
      tools(signOut),
    );
    const scrim = h('div', { class: 'scrim', on: { click: () => this.drawer(false) } });
    const header = h('header', { class: 'top' }, this.#drawerButton, this.#title, connection.element);
    const foot = h(
      'div',
      { class: 'foot' },
      connection.strip,
      composer.element,
      h('p', { class: 'hint' }, 'Enter sends · Shift + Enter for a new line · Esc stops'),
    );
    const main = h('main', { class: 'main' }, header, notices.element, this.scroll, foot);
    document.getElementById('app').replaceChildren(this.#sidebar, scrim, main, this.#live);
    this.#narrow.addEventListener('change', () => this.drawer(false));
    this.drawer(false);
  }

  get drawerOpen() {
    return document.body.classList.contains('drawer-open');
  }

  drawer(open) {
    const before = this.drawerOpen;
    document.body.classList.toggle('drawer-open', open);
    this.#sidebar.inert = this.#narrow.matches && !open;
    this.#drawerButton.ariaExpanded = String(open);
    if (open) this.#sidebar.querySelector('button, a')?.focus();
    else if (before) this.#drawerButton.focus();
  }

  title(text) {
    this.#title.textContent = text;
    this.#title.ariaHidden = text ? null : 'true';
    document.title = text ? `${text} · Parley` : 'Parley';
  }

  /** Said to those who listen instead of look. */
  announce(text) {
    this.#live.textContent = text.length > SPOKEN_CHARS ? `${text.slice(0, SPOKEN_CHARS)}…` : text;
  }
}

function brand(close) {
  return h(
    'div',
    { class: 'brand' },
    h('img', { src: '/static/favicon.svg', alt: '', width: 26, height: 26 }),
    h('span', {}, 'Parley'),
    iconButton('close', 'Close', { class: 'drawer-close', on: { click: close } }),
  );
}

function tools(signOut) {
  return h(
    'div',
    { class: 'sidebar-tools' },
    h(
      'button',
      {
        type: 'button',
        class: 'quiet-button',
        icon: 'theme',
        on: { click: toggleTheme },
        data: { testid: 'theme' },
      },
      'Theme',
    ),
    h(
      'button',
      {
        type: 'button',
        class: 'quiet-button',
        icon: 'key',
        on: { click: signOut },
        data: { testid: 'sign-out' },
      },
      'Change key',
    ),
  );
}
