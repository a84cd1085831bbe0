/* Runs before the first paint, so that a chosen theme never flashes in. */
(() => {
  const theme = localStorage.getItem('parley.theme');
  if (theme) document.documentElement.dataset.theme = theme;
})();
