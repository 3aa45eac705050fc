// Stacked bars of series over time, as a picture and as a table from the same numbers.

import { count, day, clock, dayLong, exactMoney, money, short } from "./format.js";
import { h, svg, table } from "./dom.js";

const WIDTH = 960;
const HEIGHT = 220;
const LEFT = 58;
const BOTTOM = 22;
const TOP = 8;

/** @typedef {{id: string, label: string, spend_nano: string[], requests: number[], tokens: number[]}} Series */

/** The values of a series. @param {any} series @param {string} metric @returns {bigint[]} */
export function valuesOf(series, metric) {
  if (metric === "spend") return series.spend_nano.map((/** @type {string} */ nano) => BigInt(nano));
  return series[metric].map((/** @type {number} */ value) => BigInt(value));
}

/** The first round number that is not smaller, and has round quarters. @param {number} value */
export function niceCeiling(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  for (const step of [1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10]) if (step * power >= value * (1 - 1e-9)) return step * power;
  return 10 * power;
}

/** @param {bigint | number} value @param {string} metric */
function shown(value, metric) {
  return metric === "spend" ? money(BigInt(value)) : count(BigInt(value));
}

/** @param {number} value @param {string} metric */
function tick(value, metric) {
  if (metric !== "spend") return short(value);
  // Ticks of one axis have digits alike.
  return value >= 4e8 ? `$${(value / 1e9).toFixed(value >= 1e11 ? 0 : 2)}` : money(BigInt(Math.round(value)));
}

/**
 * The layers of a chart: the series that have values, and all others together.
 * @param {any} activity @param {string} metric
 * @returns {{id: string, label: string, values: bigint[], total: bigint}[]}
 */
export function layersOf(activity, metric) {
  const all = activity.series.map((/** @type {Series} */ series) => ({ id: series.id, label: series.label || "(none)", values: valuesOf(series, metric) }));
  if (!activity.overlapping) all.push({ id: "", label: "other", values: valuesOf(activity.other, metric) });
  return all.map((/** @type {any} */ one) => ({ ...one, total: one.values.reduce((/** @type {bigint} */ sum, /** @type {bigint} */ value) => sum + value, 0n) }))
    .filter((/** @type {any} */ one) => one.total !== 0n);
}

/** @param {any} activity @param {string} metric */
export function chart(activity, metric) {
  const layers = layersOf(activity, metric);
  const zone = activity.zone;
  const hours = activity.buckets.length > 1 && Date.parse(activity.buckets[1]) - Date.parse(activity.buckets[0]) < 23 * 3_600_000;
  const sums = activity.buckets.map((/** @type {string} */ _, /** @type {number} */ at) =>
    layers.reduce((sum, layer) => sum + layer.values[at], 0n));
  const peak = niceCeiling(Math.max(0, ...sums.map(Number)));
  const step = (WIDTH - LEFT) / Math.max(1, sums.length);
  const gap = Math.min(4, step * 0.18);
  const high = HEIGHT - BOTTOM - TOP;
  const y = (/** @type {number} */ value) => TOP + high - (high * value) / peak;
  const grid = [0, 0.25, 0.5, 0.75, 1].map((part) => [
    svg("line", { x1: LEFT, x2: WIDTH, y1: y(part * peak), y2: y(part * peak), class: "grid" }),
    svg("text", { x: LEFT - 8, y: y(part * peak) + 4, class: "tick", "text-anchor": "end" }, tick(part * peak, metric)),
  ]);
  const every = Math.max(1, Math.ceil(sums.length / 8));
  const label = (/** @type {string} */ at) => (hours ? clock(at, zone) : day(at, zone));
  const name = (/** @type {string} */ at) => (hours ? `${dayLong(at, zone)}, ${clock(at, zone)}` : dayLong(at, zone));
  const labels = activity.buckets.map((/** @type {string} */ at, /** @type {number} */ n) => n % every === 0 &&
    svg("text", { x: LEFT + n * step + step / 2, y: HEIGHT - 6, class: "tick", "text-anchor": "middle" }, label(at)));
  const bars = activity.buckets.map((/** @type {string} */ at, /** @type {number} */ n) => {
    let below = 0;
    return svg("g", { class: "column" }, layers.map((layer, order) => {
      const value = Number(layer.values[n]);
      if (value <= 0) return null;
      const size = Math.max(0.5, (high * value) / peak);
      below += size;
      return svg("rect", {
        x: LEFT + n * step + gap / 2, y: TOP + high - below, width: Math.max(1, step - gap), height: size,
        class: layer.label === "other" && layer.id === "" ? "fill other" : `fill s${order % 8}`,
      }, svg("title", null, `${name(at)}\n${layer.label}: ${shown(layer.values[n], metric)}`));
    }), svg("rect", { x: LEFT + n * step, y: TOP, width: step, height: high, class: "over" },
      svg("title", null, [name(at), ...layers.filter((layer) => layer.values[n] !== 0n)
        .map((layer) => `${layer.label}: ${shown(layer.values[n], metric)}`), `total: ${shown(sums[n], metric)}`].join("\n"))));
  });
  const total = sums.reduce((/** @type {bigint} */ sum, /** @type {bigint} */ value) => sum + value, 0n);
  const most = sums.reduce((/** @type {number} */ best, /** @type {bigint} */ value, /** @type {number} */ at) => (value > sums[best] ? at : best), 0);
  const what = { spend: "Spend", requests: "Requests", tokens: "Tokens" }[metric] ?? metric;
  const sentence = total === 0n ? `${what}: none in this time`
    : `${what} by ${activity.group.replace("_", " ")}, ${sums.length} ${hours ? "hours" : "days"}, total ${shown(total, metric)}, most on ${name(activity.buckets[most])}`;
  return { layers, sums, total, sentence, name,
    picture: svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": sentence }, grid, labels, bars) };
}

/** The names of the layers with their sums. @param {any} drawn @param {string} metric @param {(id: string) => string | null} link */
export function legend(drawn, metric, link) {
  return h("ul", { class: "legend" }, drawn.layers.map((/** @type {any} */ layer, /** @type {number} */ order) => {
    const target = layer.id ? link(layer.id) : null;
    const text = [h("span", { class: `swatch ${layer.id ? `s${order % 8}` : "other"}`, "aria-hidden": "true" }),
      h("span", { class: "name" }, layer.label),
      h("strong", { title: metric === "spend" ? exactMoney(layer.total) : null }, shown(layer.total, metric))];
    return h("li", null, target ? h("a", { href: target }, text) : h("span", null, text));
  }));
}

/** The same numbers as a table, with its sum. @param {any} activity @param {any} drawn @param {string} metric */
export function chartTable(activity, drawn, metric) {
  const rows = activity.buckets.map((/** @type {string} */ at, /** @type {number} */ n) => ({ at, n }));
  return table({
    caption: drawn.sentence, rows, compact: true,
    columns: [
      { name: "Time", cell: (row) => drawn.name(row.at) },
      ...drawn.layers.map((/** @type {any} */ layer) => ({ name: layer.label, number: true, cell: (/** @type {any} */ row) => shown(layer.values[row.n], metric) })),
      { name: "Total", number: true, cell: (row) => h("strong", null, shown(drawn.sums[row.n], metric)) },
    ],
    foot: ["Sum", ...drawn.layers.map((/** @type {any} */ layer) => shown(layer.total, metric)), shown(drawn.total, metric)],
  });
}
