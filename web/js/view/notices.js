/** Words about what went wrong, which go away by themselves or on request. */

import { h, iconButton } from './element.js';
import { readable } from './message.js';

const SHOWN_MS = 12_000;
const MOST = 3;

export class Notices {
  constructor() {
    this.element = h('div', { class: 'notices', role: 'alert', data: { testid: 'notices' } });
  }

  /** @param {{code?: string, message: string, retry_after_s?: number}} error */
  show(error) {
    const wait = error.retry_after_s ? ` Try again in ${Math.ceil(error.retry_after_s)} s.` : '';
    const notice = h(
      'div',
      { class: 'notice', data: { testid: 'notice', code: error.code ?? '' }, icon: 'warn' },
      h('span', {}, readable(error) + wait),
      iconButton('close', 'Dismiss', { on: { click: () => notice.remove() } }),
    );
    for (const shown of this.element.children) if (shown.textContent === notice.textContent) shown.remove();
    this.element.append(notice);
    while (this.element.childElementCount > MOST) this.element.firstElementChild.remove();
    setTimeout(() => notice.remove(), SHOWN_MS);
  }
}
