/** A window on a trial's log: more comes at both ends as one scrolls, the end is followed while the trial runs. */

const EVERY_MS = 2_000;
const PIECES = 8;
const PIECE_CHARACTERS = 65_536;
const EDGE_PIXELS = 200;

async function ask(/** @type {HTMLElement} */ log, /** @type {string} */ from) {
  const { trial, epoch, pinned } = log.dataset;
  const attempt = pinned === undefined || epoch === "0" ? "" : `&epoch=${epoch}`;
  const answer = await fetch(`/api/v1/trials/${trial}/log?plain=true&${from}${attempt}`);
  return answer.ok ? answer.json() : null;
}

function span(/** @type {any} */ piece) {
  const made = document.createElement("span");
  made.textContent = piece.content;
  Object.assign(made.dataset, { first: piece.first_byte, next: piece.next_byte });
  return made;
}

/** Puts a piece before or behind what is shown, and takes away as much at the other end: the page stays small. */
function put(/** @type {HTMLElement} */ log, /** @type {any} */ piece, /** @type {boolean} */ up) {
  const last = /** @type {HTMLElement} */ (log.lastElementChild);
  const anchor = /** @type {HTMLElement} */ (up ? log.firstElementChild : last);
  const before = anchor.offsetTop;
  if (!up && last.tagName === "SPAN" && (last.textContent ?? "").length < PIECE_CHARACTERS) {
    last.append(piece.content);
    last.dataset.next = piece.next_byte;
  } else log[up ? "prepend" : "append"](span(piece));
  while (log.children.length > PIECES) log[up ? "lastElementChild" : "firstElementChild"]?.remove();
  log.scrollTop += anchor.offsetTop - before;
}

let busy = false;
let missed = false; // an edge was reached while a piece was on its way: no scroll tells of it again
async function more(/** @type {HTMLElement} */ log, /** @type {boolean} */ up) {
  const edge = /** @type {HTMLElement} */ (up ? log.firstElementChild : log.lastElementChild);
  missed ||= busy;
  if (busy || (up && edge.dataset.first === "0")) return;
  busy = true;
  try {
    const piece = await ask(log, up ? `before=${edge.dataset.first}` : `after=${edge.dataset.next}`);
    if (!piece) return;
    if (String(piece.epoch) !== log.dataset.epoch) {
      log.dataset.epoch = piece.epoch; // another attempt began: its output starts anew
      log.replaceChildren(span({ content: "", first_byte: 0, next_byte: 0 }));
    } else if (piece.content) put(log, piece, up);
  } finally {
    busy = false;
    if (missed) look(log);
  }
}

function look(/** @type {HTMLElement} */ log) {
  missed = false;
  if (log.scrollTop < EDGE_PIXELS) more(log, true);
  else if (log.scrollHeight - log.scrollTop - log.clientHeight < EDGE_PIXELS) more(log, false);
}

async function follow(/** @type {HTMLElement} */ log) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24;
  if (document.hidden || !atEnd) return;
  await more(log, false);
  log.scrollTop = log.scrollHeight;
}

const log = document.getElementById("log");
if (log) {
  const mark = log.querySelector("mark");
  log.scrollTop = mark ? mark.offsetTop - log.clientHeight / 2 : log.scrollHeight;
  log.addEventListener("scroll", () => look(log));
  if (log.hasAttribute("data-live")) setInterval(() => follow(log), EVERY_MS);
}
