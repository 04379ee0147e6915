/** What every page does: theme, relative times, copying, menus; the rest comes with the modules that it needs. */

import "./parts.js"; // first: it notes what the server sent before the others draw into it
import { turnTheme } from "./colors.js";
import "./figure-view.js";
import "./keyboard.js";
import "./live.js";
import "./selection-bar.js";
import { clear } from "./selection.js";

const UNITS = /** @type {const} */ ([["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]]);
const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });

/** "3 minutes ago", with the exact time on hover. */
function tellTimes() {
  for (const time of document.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    const seconds = (at.getTime() - Date.now()) / 1000;
    const [unit, length] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS[3];
    time.textContent = Math.abs(seconds) < 5 ? "now" : words.format(Math.round(seconds / length), unit);
    time.title = exact.format(at);
  }
}

/** @type {Record<string, (button: HTMLElement, figure: any) => unknown>} */
const ACTIONS = {
  theme: turnTheme,
  deselect: clear,
  help: () => /** @type {HTMLDialogElement} */ (document.getElementById("help")).showModal(),
  png: (_, figure) => figure.save("png"),
  svg: (_, figure) => figure.save("svg"),
  copy,
};

document.addEventListener("click", ({ target }) => {
  const button = target instanceof Element && target.closest("[data-action]");
  if (button instanceof HTMLElement) {
    ACTIONS[button.dataset.action ?? ""](button, button.closest(".figure")?.querySelector("figure-view"));
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.toggleAttribute("open", target instanceof Node && menu.contains(target));
  }
});

/** @param {HTMLElement} button that says what to copy, or stands beside it */
async function copy(button) {
  await navigator.clipboard.writeText(button.dataset.copy ?? button.parentElement?.querySelector("pre")?.textContent ?? "");
  const before = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = before), 1_500);
}

tellTimes();
setInterval(tellTimes, 10_000);
document.addEventListener("parts-swapped", tellTimes);
