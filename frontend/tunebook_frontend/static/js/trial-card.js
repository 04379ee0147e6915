/** The card beside a hovered mark: the trial's parameters, fetched once and kept until the study changes. */

const WAIT_MS = 120;
const cards = /** @type {Map<number, string>} */ (new Map());
let timer = 0;
let wanted = 0;

/** @param {number | undefined} trial @param {MouseEvent} event */
export function showCard(trial, { clientX, clientY }) {
  clearTimeout(timer);
  if (!trial || !matchMedia("(hover: hover)").matches) return;
  wanted = trial;
  timer = setTimeout(async () => {
    if (!cards.has(trial)) {
      const answer = await fetch(`/trials/${trial}/card`);
      cards.set(trial, answer.ok ? await answer.text() : "");
    }
    if (wanted === trial && cards.get(trial)) place(cards.get(trial) ?? "", clientX, clientY);
  }, WAIT_MS);
}

export function hideCard() {
  clearTimeout(timer);
  wanted = 0;
  document.getElementById("card")?.remove();
}

/** @param {string} content HTML of our own server @param {number} x @param {number} y */
function place(content, x, y) {
  hideCard();
  const card = Object.assign(document.createElement("aside"), { id: "card", className: "card", innerHTML: content });
  document.body.append(card);
  const { width, height } = card.getBoundingClientRect();
  card.style.left = `${x + 24 + width > innerWidth ? Math.max(4, x - width - 24) : x + 24}px`;
  card.style.top = `${Math.max(4, Math.min(y + 24, innerHeight - height - 4))}px`;
}

document.addEventListener("study-changed", () => cards.clear());
