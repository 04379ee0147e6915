/** Selecting by hand: the boxes of the table, the bar at the foot of the page, and the links that carry it on. */

import { carried, MOST, selected, toggle } from "./selection.js";

const HINT_MS = 8_000;
const bar = document.getElementById("selection");
const [status, link, button] = /** @type {any[]} */ ([...(bar?.children ?? [])]);
let timer = 0;

/** Compares what is selected, or says what is wanted; false on a page without trials to select. */
export function compare() {
  if (!bar) return false;
  if (selected().length > 1) return location.assign(link.href);
  say(`To compare, select ${selected().length ? "one more trial" : "two trials"}: x or Space in the table, Ctrl-click in a figure.`);
  timer = setTimeout(show, HINT_MS);
}

function say(/** @type {string} */ words) {
  clearTimeout(timer);
  if (status.textContent !== words) status.textContent = words;
}

function show(/** @type {any} */ event) {
  if (!bar) return;
  const ids = selected();
  const all = (/** @type {string} */ selector) => /** @type {NodeListOf<any>} */ (document.querySelectorAll(selector));
  for (const box of all("input[data-pick]")) box.checked = ids.includes(Number(box.value));
  for (const other of all("a[data-swap], a[data-carry]")) other.href = carried(other.href);
  link.href = `/compare?trials=${ids}`;
  link.hidden = ids.length < 2;
  button.hidden = !ids.length;
  if (event?.type === "parts-swapped") return; // what was said still holds
  if (event?.detail?.full) say(`${MOST} trials are selected, and no more can be: take one out first.`);
  else say(ids.length ? `${ids.length} trial${ids.length === 1 ? "" : "s"} selected` : "");
}

document.addEventListener("change", ({ target }) => {
  if (target instanceof HTMLInputElement && "pick" in target.dataset) toggle(Number(target.value));
});
document.addEventListener("selection-changed", show);
document.addEventListener("parts-swapped", show);
show(null);
