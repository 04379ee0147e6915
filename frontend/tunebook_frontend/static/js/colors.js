/** Which theme the page shows, and the colours that figures name by role. */

const preference = matchMedia("(prefers-color-scheme: dark)");
const turned = () => document.dispatchEvent(new Event("theme-turned"));
const isDark = () => (document.documentElement.dataset.theme ?? (preference.matches ? "dark" : "light")) === "dark";
preference.addEventListener("change", turned);

/** Turns light into dark or back, and remembers it. */
export function turnTheme() {
  const next = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("theme", next);
  turned();
}

/**
 * A copy of a figure with `var(--…)` replaced in every property whose name ends with "color".
 * @param {any} node
 * @returns {any}
 */
export function resolved(node, key = "") {
  if (Array.isArray(node)) return node.map((child) => resolved(child, key));
  if (node !== null && typeof node === "object") {
    return Object.fromEntries(Object.entries(node).map(([name, child]) => [name, resolved(child, name)]));
  }
  return typeof node === "string" && key.endsWith("color") && node.startsWith("var(--") ? color(node.slice(4, -1)) : node;
}

/** @param {string} name of a CSS variable declared as light-dark(a, b) */
function color(name) {
  const declared = getComputedStyle(document.documentElement).getPropertyValue(name);
  const pair = declared.match(/light-dark\(([^,]+),([^)]+)\)/);
  return pair ? pair[isDark() ? 2 : 1].trim() : declared.trim();
}
