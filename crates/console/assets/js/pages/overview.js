// The first screen: spend, calls and durations with the time before; the largest; budgets; refusals; the gateway.

import { get } from "../api.js";
import { chart, chartTable, legend } from "../chart.js";
import { button, h, replace, select, table } from "../dom.js";
import { change, count, dayLong, clock, exactMoney, exactTime, millis, money, nanodollars, percent, share, sharePercent, short, until } from "../format.js";
import { filtersOf, times } from "../range.js";
import { EMPTY, GROUPS, METRICS } from "../texts.js";
import { chips } from "./requests.js";

/** @typedef {import("../main.js").Context} Context */

export const TIMED = true;
const OWN_FILTERS = ["key", "team", "user", "end_user", "model", "tag"];

/** @param {Context} context */
export async function show(context) {
  const { params, place, signal } = context;
  const filters = filtersOf(params, OWN_FILTERS);
  const data = await get("/outcrop/overview", { ...times(params), ...filters, group: params.group ?? "model", top: 8 }, signal);
  replace(place,
    h("div", { class: "title" }, h("h1", null, "Overview"), h("p", { class: "quiet" }, window_(data.activity))),
    chips(context, OWN_FILTERS),
    banners(data),
    tiles(data, context),
    activity(data.activity, context),
    h("div", { class: "columns three" },
      top("Keys", "key", data.top.keys, context),
      top("Models", "model", data.top.models, context),
      top("End users", "end_user", data.top.end_users, context)),
    h("div", { class: "columns three" }, budgets(data, context), refusals(data.refusals, context), gateway(data.gateway)));
}

/** What a total is of. @param {any} activity */
export function window_(activity) {
  const { from, to, zone } = activity;
  const end = new Date(Math.max(Date.parse(to) - 1, Date.parse(from))).toISOString();
  const whole = clock(from, zone) === "00:00" && clock(to, zone) === "00:00";
  const first = whole ? dayLong(from, zone) : `${dayLong(from, zone)} ${clock(from, zone)}`;
  const last = whole ? dayLong(end, zone) : `${dayLong(to, zone)} ${clock(to, zone)}`;
  const complete = activity.delayed ? `as of ${exactTime(activity.as_of, zone)}: later calls wait for the store`
    : activity.floor ? "at least: some calls have no price" : "complete";
  return `${first} – ${last} · ${zone} · ${complete}`;
}

/** @param {number} number @param {string} one @param {string} many */
function calls(number, one, many) {
  return `${count(number)} ${number === 1 ? `call ${one}` : `calls ${many}`}`;
}

/** @param {any} data */
function banners(data) {
  const { activity, gateway } = data;
  const lines = [];
  if (gateway.store_away) lines.push("The store of accounts cannot be reached: what is shown may be old, and nothing is counted as zero because of it.");
  if (activity.unpriced > 0) lines.push(`${calls(activity.unpriced, "has", "have")} no price: spend is at least what is shown.`);
  if (activity.estimated > 0) lines.push(`${calls(activity.estimated, "was", "were")} cut off; its cost is an estimate.`.replace("were cut off; its", "were cut off; their"));
  if (activity.approximate) lines.push("The zone's midnight is within an hour: such an hour counts to the day it begins in.");
  if (activity.overlapping) lines.push("A call with several tags counts for each: the series overlap, the total does not.");
  return lines.length > 0 && h("div", { class: "banner warn", role: "note" }, h("ul", null, lines.map((line) => h("li", null, line))));
}

/** @param {any} data @param {Context} context */
function tiles(data, context) {
  const { total, previous, floor, estimated } = data.activity;
  const [spend, before] = [BigInt(total.spend_nano), BigInt(previous.spend_nano)];
  const now = data.durations;
  const then = data.previous_durations;
  const filters = filtersOf(context.params, OWN_FILTERS);
  const rows = (/** @type {Record<string, any>} */ more) => context.link("requests", { ...filters, ...more });
  const tile = (/** @type {string} */ name, /** @type {any} */ value, /** @type {any[]} */ ...more) =>
    h("div", { class: "tile" }, h("h2", null, name), h("div", { class: "value" }, value), h("p", null, ...more));
  const pair = (/** @type {number | null} */ p50, /** @type {number | null} */ p95) => (p50 === null ? "–" : `${millis(p50)} / ${millis(p95)}`);
  const sample = now.sampled ? ` of the newest ${count(now.calls)}` : "";
  return h("section", { class: "tiles", "aria-label": "Totals" },
    tile("Spend", h("a", { href: rows({}), title: exactMoney(spend) }, `${floor ? "≥ " : ""}${estimated ? "~" : ""}${money(spend)}`),
      `before ${money(before)} · ${change(Number(spend), Number(before))}`),
    tile("Requests", h("a", { href: rows({}) }, count(total.requests)), `before ${count(previous.requests)} · ${change(total.requests, previous.requests)}`),
    tile("Failed", h("a", { href: rows({ status: "failure" }) }, percent(total.failed, total.requests)),
      `${count(total.failed)} calls · before ${percent(previous.failed, previous.requests)}`),
    tile("Tokens", short(total.tokens),
      `in ${short(total.input_tokens)} · out ${short(total.output_tokens)} · cached ${short(total.cache_read_tokens)}`),
    tile("Duration", pair(now.total_p50, now.total_p95), `p50 / p95${sample} · before ${pair(then.total_p50, then.total_p95)}`),
    tile("First byte", pair(now.ttft_p50, now.ttft_p95), `p50 / p95${sample} · before ${pair(then.ttft_p50, then.ttft_p95)}`));
}

/** @param {any} activity @param {Context} context */
function activity(activity, context) {
  const metric = context.params.metric ?? "spend";
  const drawn = chart(activity, metric);
  const as = context.params.as ?? "chart";
  const filters = filtersOf(context.params, OWN_FILTERS);
  const link = (/** @type {string} */ id) => context.link("requests", { ...filters, [activity.group === "status" ? "status" : activity.group]: id });
  const name = METRICS.find(([id]) => id === metric)?.[1] ?? metric;
  return h("section", { class: "card" },
    h("header", null, h("h2", null, `${name} over time`),
      h("div", { class: "tools" },
        select("Measure", METRICS, metric, (value) => context.set({ metric: value })),
        select("By", GROUPS.map(([id, label]) => [id, `by ${label.toLowerCase()}`]), activity.group, (group) => context.set({ group })),
        button(as === "chart" ? "Table" : "Chart", () => context.set({ as: as === "chart" ? "table" : null }), { class: "quiet" }))),
    drawn.total === 0n ? h("p", { class: "empty" }, EMPTY.calls.replace("BASE", location.origin))
      : as === "table" ? chartTable(activity, drawn, metric)
        : [h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${name} over time` }, drawn.picture), legend(drawn, metric, link)]);
}

/** @param {string} name @param {string} filter @param {any[]} rows @param {Context} context */
function top(name, filter, rows, context) {
  const most = rows.reduce((best, row) => (BigInt(row.spend_nano) > best ? BigInt(row.spend_nano) : best), 0n);
  const filters = filtersOf(context.params, OWN_FILTERS);
  return h("section", { class: "card" }, h("header", null, h("h2", null, `${name} by spend`)),
    table({
      caption: `${name} by spend`, rows, compact: true, empty: "No calls in this time.",
      columns: [
        { name: name.slice(0, -1), kind: "grow", cell: (row) => [h("a", { href: context.link("requests", { ...filters, [filter]: row.id }), title: row.label }, row.label),
          bar(most > 0n ? Number((BigInt(row.spend_nano) * 1000n) / most) / 1000 : 0, "below")] },
        { name: "Requests", number: true, cell: (row) => count(row.requests) },
        { name: "Spend", number: true, cell: (row) => h("span", { title: exactMoney(row.spend_nano) }, `${row.floor ? "≥ " : ""}${money(row.spend_nano)}`) },
      ],
    }));
}

/** A bar of a share, drawn beside its number. @param {number} part @param {string} [kind] */
export function bar(part, kind = "") {
  const line = h("i", { class: `bar-line ${kind}`, "aria-hidden": "true" });
  line.style.setProperty("--part", `${Math.round(Math.min(1, Math.max(0, part)) * 100)}%`);
  return line;
}

/** Spent and reserved money of a budget. @param {bigint} spent @param {bigint} reserved @param {bigint | null} max */
export function budgetBar(spent, reserved, max) {
  if (max === null) return h("span", { title: exactMoney(spent) }, money(spent));
  const part = share(spent + reserved, max);
  const kind = part >= 1 ? "full" : part >= 0.8 ? "near" : "";
  const text = `${money(spent)}${reserved > 0n ? ` + ${money(reserved)} reserved` : ""} of ${money(max)}`;
  return h("span", { class: "budget", title: `${exactMoney(spent)} spent, ${exactMoney(reserved)} reserved, of ${exactMoney(max)}` },
    bar(part, kind), sharePercent(part), h("small", null, text));
}

/** @param {any} data @param {Context} context */
function budgets(data, context) {
  const tabs = /** @type {Record<string, string>} */ ({ key: "keys", team: "teams", user: "users", customer: "customers", tag: "tags" });
  return h("section", { class: "card" }, h("header", null, h("h2", null, "Budgets over 80 %")),
    data.budgets_cut && h("p", { class: "quiet" }, "Of the newest 1,000 records of each kind."),
    table({
      caption: "Budgets over 80 %", rows: data.budgets, compact: true, empty: EMPTY.budgets,
      columns: [
        { name: "Of", kind: "grow", cell: (row) => [h("a", { href: context.link("keys", { tab: tabs[row.kind] ?? "keys", q: row.label }) }, row.label), " ", h("small", null, row.kind)] },
        { name: "Used", cell: (row) => budgetBar(BigInt(row.spent_nano), BigInt(row.reserved_nano), nanodollars(row.max_nano)) },
        { name: "Resets", cell: (row) => (row.resets_at ? until(row.resets_at) : "never") },
      ],
    }));
}

/** @param {any[]} rows @param {Context} context */
function refusals(rows, context) {
  return h("section", { class: "card" }, h("header", null, h("h2", null, "Refused, by scope"),
    h("a", { href: context.link("requests", { status: "refused" }) }, "all")),
  table({
    caption: "Refused calls by scope", rows, compact: true, empty: EMPTY.refusals,
    columns: [
      { name: "Scope", cell: (row) => row.scope || "–" },
      { name: "Reason", kind: "grow", cell: (row) => h("a", { title: row.code, href: context.link("requests", { status: "refused", code: row.code }) }, row.code) },
      { name: "Calls", number: true, cell: (row) => count(row.count) },
    ],
  }));
}

/** @param {any} gateway */
function gateway(gateway) {
  const shares = gateway.shares_rates === null ? "each process counts for itself" : gateway.shares_rates ? "shared by replicas" : "Redis is away: each process counts for itself";
  const pairs = /** @type {[string, any][]} */ ([
    ["Version", gateway.version],
    ["Store", h("span", { class: gateway.store_away ? "bad" : "fine" }, `${gateway.store_away ? "✕ away" : "✓ reached"}: ${gateway.store}`)],
    ["While it is away", gateway.fail_mode === "open" ? "remembered keys pass" : "calls are refused"],
    ["Rate limits", shares],
    ["Calls under way", count(gateway.calls_under_way)],
    ["Models and prices of", gateway.catalogue_date ?? "–"],
    ["Master key calls models", gateway.master_calls ? "yes" : "no"],
  ]);
  return h("section", { class: "card" }, h("header", null, h("h2", null, "Gateway")),
    h("dl", { class: "pairs" }, pairs.map(([name, value]) => [h("dt", null, name), h("dd", null, value)])));
}
