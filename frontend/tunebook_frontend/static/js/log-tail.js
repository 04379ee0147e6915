/** The end of a trial's log, followed while the trial runs; a new attempt starts a new log. */

const EVERY_MS = 2_000;
const KEPT_CHARACTERS = 400_000;

async function follow(/** @type {HTMLElement} */ log) {
  if (document.hidden) return;
  const answer = await fetch(`/api/v1/trials/${log.dataset.trial}/log?after=${log.dataset.next}`);
  if (!answer.ok) return;
  const tail = await answer.json();
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24;
  const another = String(tail.epoch) !== log.dataset.epoch;
  log.dataset.epoch = tail.epoch;
  log.dataset.next = another ? "0" : tail.next_byte;
  log.textContent = another ? "" : ((log.textContent ?? "") + tail.content).slice(-KEPT_CHARACTERS);
  if (atEnd) log.scrollTop = log.scrollHeight;
}

const log = document.getElementById("log");
if (log) {
  log.scrollTop = log.scrollHeight;
  if (log.hasAttribute("data-live")) setInterval(() => follow(log), EVERY_MS);
}
