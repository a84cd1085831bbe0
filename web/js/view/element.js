/** DOM elements from values; text stays text. */

/**
 * @param {string} tag
 * @param {object} properties `class`, `data` (data-*), `on` (listeners), `icon` (a name); the rest are attributes,
 *   where true means present and false, null or undefined absent
 * @param {...(Node | string | null)} children
 */
export function h(tag, { class: className, data = {}, on = {}, icon: name, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  Object.assign(element.dataset, data);
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  for (const [attribute, value] of Object.entries(attributes)) setAttribute(element, attribute, value);
  if (name) element.append(icon(name));
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A button showing an icon, named for those who do not see it. */
export function iconButton(name, label, { class: className = '', ...properties } = {}) {
  return h('button', {
    type: 'button',
    class: `icon-button ${className}`.trim(),
    'aria-label': label,
    title: label,
    icon: name,
    ...properties,
  });
}

const SVG = 'http://www.w3.org/2000/svg';
const PATHS = {
  menu: 'M4 7h16M4 12h16M4 17h10',
  plus: 'M12 5v14M5 12h14',
  send: 'M12 19V5M6 11l6-6 6 6',
  stop: 'M7.5 7.5h9v9h-9z',
  copy: 'M9 9h10v11H9zM5 15V4h10',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  rename: 'M4 20h4L19 9l-4-4L4 16zM13 7l4 4',
  trash: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13',
  down: 'M12 5v14M6 13l6 6 6-6',
  close: 'M6 6l12 12M18 6L6 18',
  theme: 'M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16',
  key: 'M14.5 9.5a4 4 0 1 0-3 3.9L14 16h2.5v2.5H19V16l-5-4.2c.3-.7.5-1.500.5-2.300z',
  warn: 'M12 4l9 16H3zM12 10v4M12 17v.01',
};

export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  svg.classList.add('icon', `icon-${name}`);
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', PATHS[name]);
  svg.append(path);
  return svg;
}

function setAttribute(element, name, value) {
  if (value === false || value === null || value === undefined) return;
  element.setAttribute(name, value === true ? '' : value);
}
