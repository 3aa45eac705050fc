// Numbers, money and times as texts. Money comes as texts of nanodollars and is never a floating-point number until a
// picture is drawn of it.

const NANO = 1_000_000_000n;

/** @param {string | null | undefined} nano @returns {bigint | null} */
export function nanodollars(nano) {
  return nano === null || nano === undefined ? null : BigInt(nano);
}

/**
 * Dollars rounded half up to some digits after the point.
 * @param {bigint} nano @param {number} digits
 */
function rounded(nano, digits) {
  const sign = nano < 0n ? "-" : "";
  const size = nano < 0n ? -nano : nano;
  const unit = 10n ** BigInt(9 - digits);
  const units = (size + unit / 2n) / unit;
  const scale = 10n ** BigInt(digits);
  const whole = (units / scale).toString().replace(/\B(?=(\d{3})+$)/g, ",");
  const rest = digits ? "." + (units % scale).toString().padStart(digits, "0") : "";
  return `${sign}$${whole}${rest}`;
}

/**
 * Dollars for people: two digits after the point from a dollar on, four below it, four significant ones below a cent.
 * @param {string | bigint | null | undefined} value
 */
export function money(value) {
  const nano = typeof value === "bigint" ? value : nanodollars(value);
  if (nano === null) return "–";
  if (nano === 0n) return "$0.00";
  const size = nano < 0n ? -nano : nano;
  if (size >= NANO) return rounded(nano, 2);
  if (size >= NANO / 100n) return rounded(nano, 4);
  const digits = Math.min(9, 9 - size.toString().length + 4);
  return rounded(nano, digits).replace(/(\.\d*?[1-9])0+$/, "$1");
}

/** All digits of an amount. @param {string | bigint | null | undefined} value */
export function exactMoney(value) {
  const nano = typeof value === "bigint" ? value : nanodollars(value);
  if (nano === null) return "unknown";
  return rounded(nano, 9).replace(/0+$/, "").replace(/\.$/, "") + " US dollars";
}

/** Nanodollars of an amount in dollars, as JSON numbers have it. @param {number | null | undefined} dollars */
export function ofDollars(dollars) {
  if (dollars === null || dollars === undefined) return null;
  return BigInt(Math.round(dollars * 1e9));
}

/** @param {number | bigint | null | undefined} value */
export function count(value) {
  if (value === null || value === undefined) return "–";
  return value.toString().replace(/\B(?=(\d{3})+$)/g, ",");
}

/** A number with a unit of a thousand: 1.2 M. @param {number} value */
export function short(value) {
  for (const [limit, unit] of /** @type {[number, string][]} */ ([[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]])) {
    if (Math.abs(value) >= limit) {
      const scaled = value / (unit === "k" ? 1e3 : limit);
      return `${scaled >= 100 ? Math.round(scaled) : scaled.toFixed(1)} ${unit}`;
    }
  }
  return count(Math.round(value));
}

/** @param {number | null | undefined} ms */
export function millis(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

/** A part of a whole in percent. @param {number} part @param {number} whole */
export function percent(part, whole) {
  if (!whole) return "–";
  const value = (100 * part) / whole;
  if (value === 0) return "0 %";
  return value < 0.1 ? "< 0.1 %" : `${value.toFixed(value < 10 ? 1 : 0)} %`;
}

/** The share of a budget, from exact amounts. @param {bigint} used @param {bigint} max */
export function share(used, max) {
  if (max <= 0n) return used > 0n || max === 0n ? 1 : 0;
  return Number((used * 100_000n) / max) / 100_000;
}

/** The share in percent: one digit after the point below ten. @param {number} part */
export function sharePercent(part) {
  const value = part * 100;
  return `${value > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} %`;
}

/** The change against an earlier value. @param {number} now @param {number} before */
export function change(now, before) {
  if (!before) return now ? "new" : "no change";
  const value = (100 * (now - before)) / before;
  if (Math.abs(value) < 0.5) return "no change";
  return `${value > 0 ? "+" : "−"}${Math.abs(value) >= 1000 ? "> 999" : Math.round(Math.abs(value))} %`;
}

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/** @param {string} zone @param {Intl.DateTimeFormatOptions} options */
function format(zone, options) {
  const name = zone + JSON.stringify(options);
  let found = formats.get(name);
  if (!found) {
    found = new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options });
    formats.set(name, found);
  }
  return found;
}

/** @param {string} at @param {string} zone */
export function day(at, zone) {
  return format(zone, { day: "2-digit", month: "short" }).format(new Date(at));
}

/** @param {string} at @param {string} zone */
export function dayLong(at, zone) {
  return format(zone, { weekday: "short", day: "numeric", month: "short", year: "numeric" }).format(new Date(at));
}

/** @param {string} at @param {string} zone */
export function clock(at, zone) {
  return format(zone, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(new Date(at));
}

/** @param {string} at @param {string} zone */
export function moment(at, zone) {
  const options = /** @type {const} */ ({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  return `${day(at, zone)} ${format(zone, options).format(new Date(at))}`;
}

/** A time with its offset from UTC, for titles. @param {string} at @param {string} zone */
export function exactTime(at, zone) {
  const parts = format(zone, {
    year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
    hourCycle: "h23", timeZoneName: "longOffset",
  }).formatToParts(new Date(at));
  const of = (/** @type {string} */ type) => parts.find((part) => part.type === type)?.value ?? "";
  const offset = of("timeZoneName").replace("GMT", "") || "Z";
  return `${of("year")}-${of("month")}-${of("day")}T${of("hour")}:${of("minute")}:${of("second")}${offset} (${zone})`;
}

/** The date of a time in a zone as 2026-11-26. @param {Date} at @param {string} zone */
export function isoDay(at, zone) {
  const parts = format(zone, { year: "numeric", month: "2-digit", day: "2-digit" }).formatToParts(at);
  const of = (/** @type {string} */ type) => parts.find((part) => part.type === type)?.value ?? "";
  return `${of("year")}-${of("month")}-${of("day")}`;
}

/** The time until another, in one unit. @param {string | null | undefined} at @param {number} [now] */
export function until(at, now = Date.now()) {
  if (!at) return "–";
  const left = new Date(at).getTime() - now;
  const size = Math.abs(left);
  const units = /** @type {[number, string][]} */ ([[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1000, "s"]]);
  const [unit, name] = units.find(([ms]) => size >= ms) ?? [1000, "s"];
  const text = `${Math.floor(size / unit)} ${name}`;
  return left >= 0 ? `in ${text}` : `${text} ago`;
}
