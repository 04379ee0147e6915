/** `/` search, `j` and `k` rows, Enter opens, `?` help. */

/** @type {Record<string, () => unknown>} what a key does; false leaves the key to the browser */
const ACTIONS = {
  "/": () => /** @type {HTMLInputElement | null} */ (document.querySelector("input[type=search]"))?.focus(),
  "?": () => /** @type {HTMLDialogElement} */ (document.getElementById("help")).showModal(),
  j: () => move(1),
  k: () => move(-1),
  Enter: () => {
    const row = document.activeElement === document.body && document.querySelector("tr.at[data-href]");
    return row && location.assign(row.getAttribute("data-href") ?? "");
  },
};

document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof Element && event.target.closest("input, textarea, select, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !ACTIONS[event.key]) return;
  if (ACTIONS[event.key]() !== false) event.preventDefault();
});

function move(/** @type {number} */ by) {
  const rows = [...document.querySelectorAll("tr[data-href]")];
  const at = rows.findIndex((row) => row.classList.contains("at"));
  const next = rows[Math.min(Math.max(at + by, 0), rows.length - 1)];
  rows[at]?.classList.remove("at");
  next?.classList.add("at");
  next?.scrollIntoView({ block: "nearest" });
}
