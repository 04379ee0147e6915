/** Pages change by parts: a [data-part] is replaced when the server's HTML of it has changed. */

import { carried } from "./selection.js";

/** @type {Map<string, string>} what the server sent last, by id; the page itself may have drawn into it since */
const sent = new Map();
for (const part of document.querySelectorAll("[data-part]")) sent.set(part.id, part.outerHTML);
let etag = "";
let here = location.href; // where the reader is going: the answer may be under way
let asked = 0;
let shown = 0;

/**
 * Fetches the parts of a page and swaps those that differ; an answer that a newer one has overtaken is dropped.
 * @param {string} url
 * @param {"push" | "replace" | ""} history what to do with the address
 */
export async function swapParts(url = here, history = "") {
  const turn = ++asked;
  here = url;
  const known = history || !etag ? {} : { "If-None-Match": etag };
  const answer = await fetch(url, { headers: { "X-Parts": "yes", ...known } });
  const text = await answer.text();
  if (history && url === here && answer.ok) window.history[`${history}State`](null, "", carried(url));
  if (turn < shown || answer.status === 304) return;
  if (!answer.ok || answer.redirected) return location.assign(url);
  shown = turn;
  etag = answer.headers.get("ETag") ?? "";
  const fresh = new DOMParser().parseFromString(text, "text/html");
  for (const part of fresh.querySelectorAll("[data-part]")) {
    const html = part.outerHTML;
    if (sent.get(part.id) !== html) replace(document.getElementById(part.id), part);
    sent.set(part.id, html);
  }
  document.dispatchEvent(new Event("parts-swapped"));
}

/** Figures that stay only learn their new address: they keep their zoom, and nothing flashes. */
function replace(/** @type {HTMLElement | null} */ present, /** @type {Element} */ fresh) {
  if (!present) return;
  const [before, after] = [present, fresh].map((part) => [...part.querySelectorAll("figure-view")]);
  const same = before.map((view) => view.id).join() === after.map((view) => view.id).join();
  if (before.length && same && !("words" in present.dataset)) {
    before.forEach((view, place) => {
      const src = after[place].getAttribute("src") ?? "";
      if (view.getAttribute("src") !== src) view.setAttribute("src", src);
    });
    return;
  }
  const typed = /** @type {any} */ (present.contains(document.activeElement) ? document.activeElement : null);
  const row = present.querySelector("tr.at")?.getAttribute("data-href");
  keep(present, fresh);
  present.replaceWith(document.adoptNode(fresh));
  if (row) fresh.querySelector(`tr[data-href="${CSS.escape(row)}"]`)?.classList.add("at");
  const field = /** @type {any} */ (typed?.id ? document.getElementById(typed.id) : null);
  if (field && "value" in field) field.value = typed.value;
  field?.focus({ preventScroll: true });
  if (typed?.selectionStart != null) field?.setSelectionRange(typed.selectionStart, typed.selectionEnd);
}

/** What a reader has unfolded stays unfolded, what they ticked or cleared stays so, and figures stay drawn. */
function keep(/** @type {HTMLElement} */ present, /** @type {Element} */ fresh) {
  for (const details of present.querySelectorAll("details[data-keep]")) {
    const name = CSS.escape(details.getAttribute("data-keep") ?? "");
    fresh.querySelector(`details[data-keep="${name}"]`)?.toggleAttribute("open", details.hasAttribute("open"));
  }
  for (const box of present.querySelectorAll("input[type=checkbox]")) {
    const { name, value, checked, defaultChecked } = /** @type {HTMLInputElement} */ (box);
    if (checked === defaultChecked) continue; // as the server sent it
    const same = fresh.querySelector(`input[name="${CSS.escape(name)}"][value="${CSS.escape(value)}"]`);
    if (same instanceof HTMLInputElement) same.checked = checked;
  }
  for (const view of present.querySelectorAll("figure-view[id]")) {
    const place = fresh.querySelector(`#${CSS.escape(view.id)}`);
    if (place && place.getAttribute("src") === view.getAttribute("src")) place.replaceWith(view);
  }
}

document.addEventListener("click", (event) => {
  const link = event.target instanceof Element && event.target.closest("a[data-swap]");
  if (!(link instanceof HTMLAnchorElement) || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  swapParts(link.href, "push");
});

let timer = 0;
function search(/** @type {Event} */ event, wait = 0) {
  const field = /** @type {any} */ (event.target);
  const form = field instanceof HTMLFormElement ? field : field.form;
  if (!form?.matches("[data-swap]")) return;
  event.preventDefault();
  clearTimeout(timer);
  timer = setTimeout(() => {
    const filled = /** @type {any} */ ([...new FormData(form)].filter(([, value]) => value));
    swapParts(`${form.action}?${new URLSearchParams(filled)}`, "replace");
  }, wait);
}
document.addEventListener("input", (event) => search(event, 250));
document.addEventListener("submit", (event) => search(event));
window.addEventListener("popstate", () => swapParts(location.href));
