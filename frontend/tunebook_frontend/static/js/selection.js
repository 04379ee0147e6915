/** The trials that a reader has selected: `selected=3,7` in the page's own address. Swaps and links carry it on. */

export const MOST = 20; // as many as the server compares (services/trial_comparisons.py)
const NAME = "selected";
const ID = /^[1-9]\d{0,14}$/;

/** Ids in the order of their selection, each once; what is not an id is left out. */
export function selected() {
  const words = (new URLSearchParams(location.search).get(NAME) ?? "").split(",");
  return [...new Set(words.filter((word) => ID.test(word)).map(Number))].slice(0, MOST);
}

/**
 * An address with the selection of this page in place of its own.
 * @param {string} address
 */
export function carried(address, ids = selected()) {
  const url = new URL(address, location.href);
  url.searchParams.delete(NAME);
  if (ids.length) url.search += `${url.search ? "&" : "?"}${NAME}=${ids}`;
  return url.href;
}

/** @param {number[]} ids */
export function select(ids) {
  const full = ids.length > MOST;
  if (!full) history.replaceState(null, "", carried(location.href, ids));
  document.dispatchEvent(new CustomEvent("selection-changed", { detail: { full } }));
}

/** Adds a trial, or takes it out. */
export function toggle(/** @type {number} */ trial) {
  const ids = selected();
  select(ids.includes(trial) ? ids.filter((id) => id !== trial) : [...ids, trial]);
}

/** Leaves none; false where there was none. */
export const clear = () => selected().length > 0 && (select([]), true);

window.addEventListener("popstate", () => document.dispatchEvent(new CustomEvent("selection-changed")));
