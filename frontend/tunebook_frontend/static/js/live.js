/** Follows a study: the event stream says that it changed, then only what changed is fetched. */

import { swapParts } from "./parts.js";

const EVERY_MS = 1_000;
const { study, poll } = document.body.dataset;
let revision = Number(document.body.dataset.revision);
/** @type {EventSource | null} */
let events = null;
let timer = 0;
let last = 0;

function changed(/** @type {MessageEvent} */ event) {
  revision = JSON.parse(event.data).revision;
  timer ||= setTimeout(() => {
    timer = 0;
    last = performance.now();
    document.dispatchEvent(new Event("study-changed"));
    swapParts();
  }, Math.max(0, last + EVERY_MS - performance.now()));
}

/** A hidden page holds no connection: browsers allow six a server, for all tabs together. */
function follow() {
  events?.close();
  if (document.hidden) return;
  events = new EventSource(`/api/v1/events?study=${study}&revision=${revision}`);
  events.addEventListener("study", changed);
}

if (study) {
  follow();
  document.addEventListener("visibilitychange", follow);
}
if (poll) setInterval(() => document.hidden || swapParts(), Number(poll) * 1000);
