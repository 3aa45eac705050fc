// The time that a screen shows, and the state of a screen in its address. No secret is ever in it.

import { isoDay } from "./format.js";

/** @typedef {{page: string, params: Record<string, string>}} State */

export const RANGES = /** @type {[string, string][]} */ ([
  ["1h", "Last hour"], ["24h", "Last 24 hours"], ["7d", "Last 7 days"], ["30d", "Last 30 days"], ["custom", "Days…"],
]);
export const OWN_ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
const HOUR = 3_600_000;

/** @param {string} hash @returns {State} */
export function readHash(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  return { page: path || "overview", params: Object.fromEntries(new URLSearchParams(query)) };
}

/** @param {string} page @param {Record<string, any>} params */
export function hashOf(page, params) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return `#/${page}${text ? "?" + text : ""}`;
}

/** The zone of a state. @param {Record<string, string>} params */
export function zoneOf(params) {
  return params.tz || OWN_ZONE;
}

/**
 * The parameters of a question about the range of a state. Days are those of the zone.
 * @param {Record<string, string>} params @param {Date} [now]
 */
export function times(params, now = new Date()) {
  const tz = zoneOf(params);
  const ago = (/** @type {number} */ ms) => new Date(now.getTime() - ms).toISOString();
  const daysAgo = (/** @type {number} */ days) => {
    // Dates are counted as those of UTC, which has no daylight saving.
    const [year, month, date] = isoDay(now, tz).split("-").map(Number);
    return new Date(Date.UTC(year, month - 1, date - days)).toISOString().slice(0, 10);
  };
  switch (params.range ?? "24h") {
    case "1h":
      return { from: ago(HOUR), to: now.toISOString(), bucket: "hour", tz };
    case "24h":
      return { from: ago(24 * HOUR), to: now.toISOString(), bucket: "hour", tz };
    case "7d":
      return { from: daysAgo(6), to: daysAgo(0), bucket: "day", tz };
    case "30d":
      return { from: daysAgo(29), to: daysAgo(0), bucket: "day", tz };
    default: {
      const from = params.from || daysAgo(6);
      const to = params.to || daysAgo(0);
      const days = (Date.parse(to) - Date.parse(from)) / (24 * HOUR);
      return { from, to, bucket: days < 2 ? "hour" : "day", tz };
    }
  }
}

/** Filters that screens have in common. */
export const FILTERS = ["key", "team", "user", "end_user", "model", "region", "tag", "status", "code", "session", "id"];

/** @param {Record<string, string>} params @param {string[]} [names] */
export function filtersOf(params, names = FILTERS) {
  return Object.fromEntries(names.filter((name) => params[name]).map((name) => [name, params[name]]));
}

/** What links between screens keep. @param {Record<string, string>} params */
export function kept(params) {
  const { range, from, to, tz, refresh } = params;
  return { range, from, to, tz, refresh };
}
