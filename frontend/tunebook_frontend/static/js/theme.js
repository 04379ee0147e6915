// Not a module: it runs before the first paint, so that a dark page never flashes white.
(() => {
  const root = document.documentElement;
  const kept = localStorage.getItem("theme");
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
})();
