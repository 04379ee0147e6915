/** How a figure shows the selection: its trials are ringed or drawn over, all others step back. */

const INK = "var(--figure-text)";
const PALE = 0.25;
const PALE_LINES = 0.45; // of the opacity that they have
const RING = { symbol: "circle-open", size: 13, color: INK, line: { width: 2, color: INK } };
/** @type {Record<string, any>} */
const ARRAYS = { f8: Float64Array, f4: Float32Array, i4: Int32Array, i2: Int16Array, i1: Int8Array, u1: Uint8Array };

/**
 * The traces of a figure with the selection in them, and how many selected trials have no mark there.
 * A trace names its trials in customdata, a row a point with the id first; a curve its only one in meta.trial.
 * @param {any[]} data
 * @param {number[]} ids
 */
export function marked(data, ids) {
  const chosen = new Set(ids);
  const traces = data.map((trace) => ({ trace, trials: trialsOf(trace) }));
  const here = new Set(traces.flatMap(({ trials }) => trials.filter((id) => chosen.has(id))));
  const missing = traces.some(({ trials }) => trials.length) ? chosen.size - here.size : 0;
  if (!here.size) return { data, missing };
  const beside = traces.map(({ trace, trials }) => (trials.length ? quiet(trace, trials, chosen) : trace));
  return { data: [...beside, ...traces.flatMap(({ trace, trials }) => over(trace, trials, chosen))], missing };
}

/** @typedef {Set<number>} Chosen */
/** A trace in which only the selected trials are as they were. */
function quiet(/** @type {any} */ trace, /** @type {number[]} */ trials, /** @type {Chosen} */ chosen) {
  const shown = trace.meta?.trial && chosen.has(trace.meta.trial);
  if (shown || trace.meta?.trial || isLines(trace, trials)) return shown ? trace : { ...trace, opacity: PALE_LINES * (trace.opacity ?? 1) };
  const pale = { ...trace, selectedpoints: places(trials, chosen), unselected: { marker: { opacity: PALE } } };
  if (trace.type !== "bar") return pale;
  const width = trials.map((id) => (chosen.has(id) ? 2 : 0));
  return { ...pale, marker: { ...trace.marker, line: { color: INK, width } } };
}

/** What is drawn over a trace: rings around its marks, or the selected ones of its lines anew. */
function over(/** @type {any} */ trace, /** @type {number[]} */ trials, /** @type {Chosen} */ chosen) {
  const at = places(trials, chosen);
  if (!at.length || trace.meta?.trial || trace.type === "bar") return [];
  const [x, y] = [trace.x, trace.y].map(numbers).map((values) => at.map((place) => values[place]));
  const mode = isLines(trace, trials) ? "lines" : "markers";
  const line = { ...trace.line, color: INK, width: 2.5 };
  const { yaxis = "y" } = trace;
  return [{ type: "scatter", mode, x, y, yaxis, line, marker: RING, connectgaps: false, hoverinfo: "skip", showlegend: false }];
}

const places = (/** @type {number[]} */ trials, /** @type {Chosen} */ chosen) => [...trials.keys()].filter((place) => chosen.has(trials[place]));

/** Many trials in one trace, each with several points, and gaps between them. */
const isLines = (/** @type {any} */ trace, /** @type {number[]} */ trials) => trace.type === "scatter" && new Set(trials).size < trials.length;

/** @returns {number[]} an id for every point; one alone for a curve; none where a trace stands for no trials */
function trialsOf(/** @type {any} */ { customdata, meta }) {
  if (meta?.trial) return [meta.trial];
  if (!customdata || Array.isArray(customdata)) return (customdata ?? []).map((/** @type {number[]} */ [id]) => id);
  const columns = Number(customdata.shape.split(",")[1]);
  return Array.from(numbers(customdata)).filter((_, place) => place % columns === 0);
}

/** Numbers as Python packs them (figures/figure.py), or as they are. */
function numbers(/** @type {any} */ packed) {
  if (!packed?.bdata) return packed ?? [];
  const bytes = Uint8Array.from(atob(packed.bdata), (letter) => letter.charCodeAt(0));
  return new ARRAYS[packed.dtype](bytes.buffer);
}
