/** How a figure shows the selection: its trials are ringed or drawn over, all others step back. */

const INK = "var(--figure-text)";
const RING = { symbol: "circle-open", size: 13, color: INK, line: { width: 2, color: INK } };
const PALE = { marker: { opacity: 0.25 } };
const PALE_LINES = 0.45; // of the opacity that they have
/** @type {Record<string, any>} */
const ARRAYS = { f8: Float64Array, f4: Float32Array, i4: Int32Array, i2: Int16Array, i1: Int8Array, u1: Uint8Array };

/**
 * The traces of a figure with the selection in them, and how many selected trials it does not show.
 * @param {any[]} data
 * @param {number[]} ids
 */
export function marked(data, ids) {
  const chosen = new Set(ids);
  const trials = data.map(trialsOf);
  const here = new Set(trials.flat().filter((id) => chosen.has(id)));
  const missing = trials.flat().length ? chosen.size - here.size : 0;
  if (!here.size) return { data, missing };
  const drawn = data.map((trace, place) => draw(trace, trials[place], chosen));
  return { data: [...drawn.map(([trace]) => trace), ...drawn.flatMap(([, ...over]) => over)], missing };
}

/**
 * A trace in which what is not selected is pale, and what is drawn over it: rings around marks, or lines anew.
 * @param {any} trace
 * @param {number[]} trials
 * @param {Set<number>} chosen
 */
function draw(trace, trials, chosen) {
  if (!trials.length) return [trace];
  const at = [...trials.keys()].filter((place) => chosen.has(trials[place]));
  const pale = { ...trace, opacity: PALE_LINES * (trace.opacity ?? 1) };
  if (trace.meta?.trial) return [at.length ? trace : pale];
  const dotted = { ...trace, selectedpoints: at, unselected: PALE };
  const width = trials.map((id) => (chosen.has(id) ? 2 : 0));
  if (trace.type === "bar") return [{ ...dotted, marker: { ...trace.marker, line: { color: INK, width } } }];
  const lines = new Set(trials).size < trials.length; // several points a trial, and a gap before the next one's
  if (!at.length) return [lines ? pale : dotted];
  const [x, y] = [trace.x, trace.y].map(numbers).map((values) => at.map((place) => values[place]));
  const look = lines ? { mode: "lines", line: { ...trace.line, color: INK, width: 2.5 } } : { mode: "markers", marker: RING };
  return [lines ? pale : dotted, { type: "scatter", x, y, yaxis: trace.yaxis ?? "y", ...look, hoverinfo: "skip", showlegend: false }];
}

/** @returns {number[]} an id a point, the first of its customdata; one for a curve; none where no trials are drawn */
function trialsOf(/** @type {any} */ { customdata, meta }) {
  if (meta?.trial) return [meta.trial];
  if (!customdata?.bdata) return (customdata ?? []).map((/** @type {number[]} */ [id]) => id);
  const columns = Number(customdata.shape.split(",")[1]);
  return Array.from(numbers(customdata)).filter((_, place) => place % columns === 0);
}

/** Numbers as figures/figure.py packs them, or as they are. */
function numbers(/** @type {any} */ packed) {
  if (!packed.bdata) return packed;
  const bytes = Uint8Array.from(atob(packed.bdata), (letter) => letter.charCodeAt(0));
  return new ARRAYS[packed.dtype](bytes.buffer);
}
