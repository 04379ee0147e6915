/** `/` search, `j` and `k` rows, Enter opens, `x` and Space select, `c` compares, Escape clears, `?` help. */

import { compare } from "./selection-bar.js";
import { clear } from "./selection.js";

/** @type {Record<string, () => unknown>} what a key does; false leaves the key to the browser */
const ACTIONS = {
  "/": () => /** @type {HTMLInputElement | null} */ (document.querySelector("input[type=search]"))?.focus(),
  "?": () => /** @type {HTMLDialogElement} */ (document.getElementById("help")).showModal(),
  j: () => move(1),
  k: () => move(-1),
  x: pick,
  " ": () => document.activeElement === document.body && pick(),
  c: compare,
  Escape: clear,
  Enter: () => {
    const row = document.activeElement === document.body && document.querySelector("tr.at[data-href]");
    return row && location.assign(row.getAttribute("data-href") ?? "");
  },
};

document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof Element && event.target.closest("input:not([data-pick]), textarea, select, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !ACTIONS[event.key]) return;
  if (ACTIONS[event.key]() !== false) event.preventDefault();
});

document.addEventListener("focusin", ({ target }) => {
  if (target instanceof HTMLElement && "pick" in target.dataset) point(target.closest("tr"));
});

function move(/** @type {number} */ by) {
  const rows = [...document.querySelectorAll("tr[data-href]")];
  const at = rows.findIndex((row) => row.classList.contains("at"));
  const next = rows[Math.min(Math.max(at + by, 0), rows.length - 1)];
  const focused = /** @type {HTMLElement} */ (document.activeElement);
  if (focused.closest("tr")) focused.blur(); // the keys that follow are meant for the row, not for the box
  point(next);
  next?.scrollIntoView({ block: "nearest" });
}

function point(/** @type {Element | null} */ row) {
  document.querySelector("tr.at")?.classList.remove("at");
  row?.classList.add("at");
}

/** Selects the trial of the row, or takes it out. */
function pick() {
  const box = /** @type {HTMLInputElement | null} */ (document.querySelector("tr.at input[data-pick]"));
  box?.click();
  return box !== null;
}
