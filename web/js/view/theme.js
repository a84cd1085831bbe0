/** Light, dark, or as the system says: chosen once, kept in this browser. */

const SLOT = 'parley.theme';

export function currentTheme() {
  const chosen = document.documentElement.dataset.theme;
  if (chosen) return chosen;
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}

/** The other theme; back to the system's own choice when that is the one wanted. */
export function toggleTheme() {
  const wanted = currentTheme() === 'dark' ? 'light' : 'dark';
  const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  if (wanted === system) {
    localStorage.removeItem(SLOT);
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem(SLOT, wanted);
    document.documentElement.dataset.theme = wanted;
  }
}
