/** Selecting by hand: the boxes of the table, the bar at the foot of the page, and the links that carry it on. */

import { carried, MOST, selected, toggle } from "./selection.js";

const HINT_MS = 8_000;
const bar = document.getElementById("selection");
let timer = 0;

/** Compares what is selected, or says what is wanted; false on a page without trials to select. */
export function compare() {
  if (!bar) return false;
  const ids = selected();
  if (ids.length > 1) return location.assign(comparison(ids));
  say(`To compare, select ${ids.length ? "one more trial" : "two trials"}: x or Space in the table, Ctrl-click in a figure.`);
  timer = setTimeout(show, HINT_MS);
}

const comparison = (/** @type {number[]} */ ids) => `/compare?trials=${ids}`;

function say(/** @type {string} */ words) {
  clearTimeout(timer);
  const status = /** @type {Element} */ (bar?.querySelector("[role=status]"));
  if (status.textContent !== words) status.textContent = words;
}

function show(/** @type {any} */ event) {
  if (!bar) return;
  const ids = selected();
  for (const box of /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll("input[data-pick]"))) {
    box.checked = ids.includes(Number(box.value));
  }
  for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll("a[data-swap], a[data-carry]"))) {
    link.href = carried(link.href);
  }
  const [link, button] = /** @type {any} */ (bar.querySelectorAll("a, button"));
  link.href = comparison(ids);
  link.hidden = ids.length < 2;
  button.hidden = !ids.length;
  if (event?.type === "parts-swapped") return;
  if (event?.detail?.full) say(`${MOST} trials are selected, and no more can be: take one out first.`);
  else say(ids.length ? `${ids.length} trial${ids.length === 1 ? "" : "s"} selected` : "");
}

document.addEventListener("change", ({ target }) => {
  if (target instanceof HTMLInputElement && "pick" in target.dataset) toggle(Number(target.value));
});
document.addEventListener("selection-changed", show);
document.addEventListener("parts-swapped", show);
show(null);
