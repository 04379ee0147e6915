/** <figure-view src=…>: fetches Plotly JSON and draws it; data-state is loading, ready or failed. */

import { resolved } from "./colors.js";
import { marked } from "./selected-marks.js";
import { selected, toggle } from "./selection.js";
import { hideCard, showCard } from "./trial-card.js";

const ZOOM_WAIT_MS = 250;
const FRESH_MS = 2_000; // live points redraw a figure at most this often
const NEAR = { rootMargin: "400px 0px" }; // figures are fetched a little before they are seen
let turn = Promise.resolve(null); // figures are drawn one a task: the page paints between them

const plotly = /** @type {Promise<any>} */ (new Promise((resolve, reject) => {
  const script = document.getElementById("plotly");
  if (window.Plotly) resolve(window.Plotly);
  script?.addEventListener("load", () => resolve(window.Plotly));
  script?.addEventListener("error", () => reject(new Error("plotly.js did not load")));
}));

class FigureView extends HTMLElement {
  static observedAttributes = ["src"];
  /** @type {any} */ #figure = null;
  /** @type {AbortController | null} */ #fetching = null;
  #near = false;
  #stale = true;
  #behind = false; // the theme or the selection has changed since it was drawn
  #asked = 0;
  #etag = "";
  #range = "";
  #fetchedAt = 0;
  #timer = 0;
  #observer = new IntersectionObserver((entries) => this.#seen(entries[entries.length - 1].isIntersecting), NEAR);
  #listeners = {
    "theme-turned": () => this.#again(),
    "selection-changed": () => this.#again(),
    "study-changed": () => this.refresh(FRESH_MS),
  };

  connectedCallback() {
    if (!this.firstChild) this.innerHTML = '<div class="plot"></div><p class="notes"></p>';
    this.dataset.state ??= "loading";
    this.#observer.observe(this);
    for (const [event, react] of Object.entries(this.#listeners)) document.addEventListener(event, react);
  }

  disconnectedCallback() {
    this.#observer.disconnect();
    this.#fetching?.abort();
    clearTimeout(this.#timer);
    for (const [event, react] of Object.entries(this.#listeners)) document.removeEventListener(event, react);
  }

  attributeChangedCallback(/** @type {string} */ _name, /** @type {string | null} */ before) {
    this.#etag = "";
    if (before !== null) this.refresh();
  }

  /** Fetches again what may have changed: soon where it is in view, else when it comes there. */
  refresh(everyMs = 0) {
    this.#stale = true;
    clearTimeout(this.#timer);
    const wait = everyMs && Math.max(0, this.#fetchedAt + everyMs - performance.now());
    if (this.#near) this.#timer = setTimeout(() => this.#load(), wait);
  }

  #seen(/** @type {boolean} */ near) {
    this.#near = near;
    if (near && this.#stale && this.hasAttribute("src")) this.#load();
    if (near && this.#behind) this.#again();
  }

  /** Draws what it has once more: at once where it is in view, else when it comes there. */
  #again() {
    this.#behind = !this.#near;
    if (this.#near && this.#figure) this.show(this.#figure);
  }

  async #load() {
    this.#stale = false;
    this.#fetching?.abort();
    const { signal } = (this.#fetching = new AbortController());
    try {
      const headers = this.#etag ? { "If-None-Match": this.#etag } : undefined;
      const src = this.getAttribute("src") ?? "";
      const url = this.#range ? `${src}${src.includes("?") ? "&" : "?"}${this.#range}` : src;
      const answer = await fetch(url, { headers, signal });
      this.#fetchedAt = performance.now();
      if (answer.status === 304) return;
      const content = await answer.json();
      if (!answer.ok) throw new Error(content.detail ?? `The server answered ${answer.status}.`);
      this.#etag = answer.headers.get("ETag") ?? "";
      await this.show(content);
    } catch (problem) {
      if (!signal.aborted) this.#fail(problem);
    }
  }

  /** Draws a figure, wherever it came from. */
  async show(/** @type {any} */ figure) {
    this.#figure = figure;
    const asked = ++this.#asked;
    const Plotly = await plotly;
    await (turn = turn.then(() => new Promise((next) => setTimeout(next))));
    if (asked !== this.#asked) return; // asked again meanwhile, with what is newer
    const { data: traces, missing } = marked(figure.data, selected());
    const { data, layout } = resolved({ ...figure, data: traces });
    const plot = /** @type {any} */ (this.querySelector(".plot"));
    await Plotly.react(plot, data, layout, { responsive: true, displayModeBar: false, doubleClick: "reset" });
    if (!plot.dataset.bound) this.#bind(plot);
    const absent = missing ? [`Not shown here: ${missing} of the selected trials.`] : [];
    this.querySelector(".notes")?.replaceChildren([...layout.meta.notes, ...absent].join(" "));
    this.dataset.state = "ready";
  }

  #fail(/** @type {any} */ problem) {
    const again = Object.assign(document.createElement("button"), { className: "quiet", textContent: "Try again" });
    again.addEventListener("click", () => this.refresh());
    this.querySelector(".notes")?.replaceChildren(`This figure could not be drawn: ${problem.message} `, again);
    this.dataset.state = "failed";
  }

  #bind(/** @type {any} */ plot) {
    plot.dataset.bound = "yes";
    plot.on("plotly_click", (/** @type {any} */ { points, event }) => {
      const trial = trialOf(points[0]);
      const modified = event.ctrlKey || event.metaKey || event.shiftKey;
      if (trial && modified && document.getElementById("selection")) toggle(trial);
      else if (trial) window.open(`/trials/${trial}`, event.button === 1 || modified ? "_blank" : "_self", "noopener");
    });
    plot.on("plotly_hover", (/** @type {any} */ { points, event }) => showCard(trialOf(points[0]), event));
    plot.on("plotly_unhover", hideCard);
    plot.on("plotly_relayout", (/** @type {any} */ change) => this.#zoomed(plot, change));
  }

  /** Fetches the points of the new range, of a figure that has more of them than it shows. */
  #zoomed(/** @type {any} */ plot, /** @type {any} */ change) {
    if (!this.hasAttribute("zoomable") || !Object.keys(change).some((name) => name.startsWith("xaxis"))) return;
    const { type, range } = plot.layout.xaxis;
    const ends = range?.map((/** @type {number} */ end) => (type === "log" ? 10 ** end : end));
    this.#range = "xaxis.range[0]" in change ? `first=${Math.min(...ends)}&last=${Math.max(...ends)}` : "";
    this.#etag = "";
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#load(), ZOOM_WAIT_MS);
  }

  async save(/** @type {"png" | "svg"} */ format) {
    const filename = (this.getAttribute("aria-label") ?? "figure").replace(/[^\w.-]+/g, "_");
    const options = { format, filename, scale: format === "png" ? 2 : 1, width: 800, height: 500 };
    (await plotly).downloadImage(this.querySelector(".plot"), options);
  }
}

/** The id of the trial that a mark stands for. */
const trialOf = (/** @type {any} */ point) => point.customdata?.[0] ?? point.data.meta?.trial;

customElements.define("figure-view", FigureView);
