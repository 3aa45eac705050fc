// Calls and refusals, newest first: filters in the address, details beside the list, a table to take away.

import { BASE, download, get } from "../api.js";
import { button, h, replace, say, table } from "../dom.js";
import { count, exactMoney, exactTime, millis, moment, money, short } from "../format.js";
import { FILTERS, filtersOf, times, zoneOf } from "../range.js";
import { CONTENT_NOT_KEPT, EMPTY, FILTER_NAMES, STATES } from "../texts.js";
import { window_ } from "./overview.js";

/** @typedef {import("../main.js").Context} Context */

export const TIMED = true;
const TAIL = 2000;
/** Values of the filters, of the last answer that had them. @type {any} */
let facets = null;
/** @type {any} */
let sums = null;
let asked = "";
/** @type {ReturnType<typeof setTimeout> | undefined} */
let tail;

/** @param {Context} context */
export async function show(context) {
  const { params, place, signal } = context;
  clearTimeout(tail);
  const filters = filtersOf(params);
  const { from, to, tz } = times(params);
  const question = { from, to, tz, ...filters };
  // Sums and the values of filters belong to the first page of a selection.
  const selection = JSON.stringify({ ...filters, range: params.range, days: [params.from, params.to], tz });
  const wants = selection !== asked || !params.before;
  const data = await get("/outcrop/requests", { ...question, before: params.before, facets: wants && params.tail !== "1" ? true : null }, signal);
  if (data.facets) [facets, sums, asked] = [data.facets, data.sums, selection];
  const opened = place.querySelector("aside")?.dataset.id;
  draw(context, data, question);
  if (params.open) await details(context, params.open, params.open !== opened);
  if (params.tail === "1" && !signal.aborted) follow(context, question);
  return () => clearTimeout(tail);
}

/** @param {Context} context @param {any} data @param {any} question */
function draw(context, data, question) {
  const { params, place } = context;
  const live = params.tail === "1";
  const kept = place.querySelector("aside");
  const total = sums && !live ? `${count(sums.requests)} calls · ${sums.floor ? "≥ " : ""}${money(sums.spend_nano)} · ` : "";
  replace(place,
    h("div", { class: "title" }, h("h1", null, "Requests"), h("p", { class: "quiet" },
      h("span", { title: sums ? exactMoney(sums.spend_nano) : null }, total), window_({ ...data, floor: sums?.floor }))),
    chips(context, FILTERS),
    h("div", { class: "filters" }, pickers(context), h("span", { class: "stretch" }),
      h("label", { class: "check" }, h("input", { type: "checkbox", checked: live, onchange: () => context.set({ tail: live ? null : "1", before: null }) }), "Live"),
      button("CSV", () => save(question), { title: "The rows of this selection as a table, at most 10,000" })),
    h("div", { class: `beside ${params.open ? "open" : ""}` }, h("div", { class: "list" }, rows(context, data.rows),
      h("nav", { class: "pages", "aria-label": "Pages" },
        params.before && button("Newest", () => context.set({ before: null })),
        data.next && button("Older", () => context.set({ before: data.next, tail: null })),
        h("span", { class: "quiet" }, `${count(data.rows.length)} rows${data.searched ? `; searched back to ${exactTime(data.searched, zoneOf(params))}, incomplete: Older goes on` : data.next ? ", there are more" : ""}`))),
    params.open && (kept ?? h("aside", { "aria-label": "Details" }, "…"))));
}

/** @param {any} question */
async function save(question) {
  try {
    const cut = await download("/outcrop/requests.csv", question, "requests.csv");
    say(cut ? "Saved: the newest 10,000 rows. Narrow the selection for the others." : "Saved.");
  } catch (error) {
    say(/** @type {Error} */ (error).message, "bad");
  }
}

/** The filters in force, each to be removed. @param {Context} context @param {string[]} names */
export function chips(context, names) {
  const set = names.filter((name) => context.params[name]);
  if (set.length === 0) return null;
  const label = (/** @type {string} */ name) => {
    const value = context.params[name];
    const found = facets?.[name]?.find((/** @type {any} */ one) => one.id === value)?.label;
    return found ?? (value.length > 24 ? `${value.slice(0, 22)}…` : value);
  };
  return h("ul", { class: "chips", "aria-label": "Filters" }, set.map((name) => h("li", null,
    button(`${FILTER_NAMES[name]}: ${label(name)}`, () => context.set({ [name]: null, before: null }), { title: "Remove this filter", "aria-label": `Remove the filter ${FILTER_NAMES[name]} ${label(name)}` }))),
  h("li", null, button("Clear all", () => context.set({ ...Object.fromEntries(names.map((name) => [name, null])), before: null }), { class: "quiet" })));
}

/** @param {Context} context */
function pickers(context) {
  const { params } = context;
  const set = (/** @type {string} */ name) => (/** @type {Event} */ event) =>
    context.set({ [name]: /** @type {HTMLSelectElement} */ (event.target).value || null, before: null });
  const pick = (/** @type {string} */ name, /** @type {[string, string][]} */ choices, /** @type {boolean} */ first) =>
    h("select", { "aria-label": FILTER_NAMES[name], onchange: set(name), "data-filter": first ? "" : null },
      h("option", { value: "" }, `any ${FILTER_NAMES[name].toLowerCase()}`),
      params[name] && !choices.some(([id]) => id === params[name]) && h("option", { value: params[name], selected: true }, params[name].slice(0, 24)),
      choices.map(([id, label]) => h("option", { value: id, selected: id === params[name] }, label)));
  const of = (/** @type {string} */ name) => (facets?.[name] ?? []).map((/** @type {any} */ one) => [one.id, `${one.label.slice(0, 40)} (${short(one.requests)})`]);
  return [
    pick("key", of("key"), true), pick("team", of("team"), false), pick("end_user", of("end_user"), false), pick("model", of("model"), false),
    pick("region", of("region"), false),
    pick("status", [["success", "done"], ["failure", "failed or refused"], ["refused", "refused"]], false),
    h("input", { type: "search", class: "id", placeholder: "Request id", "aria-label": "Request id", value: params.id ?? "", onchange: set("id") }),
  ];
}

/** @param {Context} context @param {any[]} rows */
function rows(context, rows) {
  const zone = zoneOf(context.params);
  const only = (/** @type {Record<string, any>} */ filter) => context.link("requests", { ...filtersOf(context.params), ...filter });
  const state = (/** @type {any} */ row) => {
    const [text, kind] = STATES[row.state] ?? [row.state, "quiet"];
    return [h("span", { class: row.code && kind === "fine" ? "bad" : kind }, row.code && kind === "fine" ? "✕ failed" : text, row.count > 1 && ` × ${count(row.count)}`),
      row.code && h("small", null, [row.status || null, row.code].filter(Boolean).join(" "))];
  };
  return table({
    caption: "Requests", rows, empty: EMPTY.requests,
    columns: [
      { name: "Time", kind: "time", cell: (row) => button(moment(row.at, zone), () => context.set({ open: context.params.open === row.id ? null : row.id }), { class: "link", title: exactTime(row.at, zone), "data-id": row.id, "aria-expanded": String(context.params.open === row.id) }) },
      { name: "Outcome", cell: state },
      { name: "Key", kind: "name", cell: (row) => (row.key ? h("a", { href: only({ key: row.key.id }), title: [row.key.label, row.team && `team ${row.team.label}`, row.user && `user ${row.user}`].filter(Boolean).join("\n") }, row.key.label) : "–") },
      { name: "End user", kind: "name", cell: (row) => (row.end_user ? h("a", { href: only({ end_user: row.end_user }), title: row.end_user }, row.end_user) : "–") },
      { name: "Model", kind: "name", cell: (row) => [h("span", { title: `${row.model_asked}${row.model ? `\nserved by ${row.model}` : ""}` }, row.model_asked || "–"),
        row.scope ? h("small", { class: "bad", title: row.scope.reason }, `refused by the ${row.scope.kind} ${row.scope.label}`)
          : row.model && !row.model.endsWith(row.model_asked) && h("small", { title: row.model }, `→ ${row.model}`)] },
      { name: "Region", cell: (row) => row.region ?? "–" },
      { name: "In / out", number: true, cell: (row) => h("span", { title: `${count(row.input)} in, ${count(row.cache_read)} read from the cache, ${count(row.cache_write)} written to it, ${count(row.output)} out` }, row.state === "refused" ? "–" : `${short(row.input + row.cache_read + row.cache_write)} / ${short(row.output)}`) },
      { name: "Cost", number: true, cell: (row) => h("span", { title: exactMoney(row.cost_nano) }, `${row.state === "estimated" ? "~" : ""}${row.state === "running" ? "…" : money(row.cost_nano)}`) },
      { name: "First byte / total", number: true, cell: (row) => [row.total_ms === null ? "–" : `${millis(row.ttft_ms)} / ${millis(row.total_ms)}`, row.attempts > 1 && h("small", null, `${row.attempts} attempts`)] },
    ],
  });
}

/** Reads the first page again and again, as long as the screen is seen. @param {Context} context @param {any} question */
function follow(context, question) {
  tail = setTimeout(async function again() {
    if (context.signal.aborted) return;
    if (!document.hidden) {
      try {
        const { from, to } = times(context.params);
        const data = await get("/outcrop/requests", { ...question, from, to, limit: 50 }, context.signal);
        if (context.signal.aborted) return;
        // Reading must not be disturbed: a list that somebody uses stays.
        const busy = context.place.querySelector(".list")?.matches(":focus-within") || context.place.querySelector("select:focus");
        if (!busy) draw(context, data, question);
      } catch {
        // The next round tells; signing out ends them.
      }
    }
    if (!context.signal.aborted) tail = setTimeout(again, TAIL);
  }, TAIL);
}

/** @param {Context} context @param {string} id @param {boolean} fresh */
async function details(context, id, fresh) {
  const place = /** @type {HTMLElement} */ (context.place.querySelector("aside"));
  if (!place) return;
  place.dataset.id = id;
  const close = button("Close", () => context.set({ open: null }), { class: "quiet" });
  try {
    const one = await get(`/outcrop/requests/${encodeURIComponent(id)}`, {}, context.signal);
    replace(place, h("header", null, h("h2", null, "Request"), close), facts(one, context));
  } catch (error) {
    if (context.signal.aborted) return;
    replace(place, h("header", null, h("h2", null, "Request"), close), h("p", { class: "bad" }, /** @type {Error} */ (error).message));
  }
  if (fresh) place.scrollIntoView?.({ block: "nearest" });
}

/** @param {any} one @param {Context} context */
function facts(one, context) {
  const zone = zoneOf(context.params);
  const [text, kind] = STATES[one.state] ?? [one.state, "quiet"];
  const named = (/** @type {any} */ value) => (value ? [value.label, h("small", null, value.id)] : "–");
  const pairs = (/** @type {[string, any][]} */ list) => h("dl", { class: "pairs" },
    list.filter(([, value]) => value !== null && value !== undefined && value !== false).map(([name, value]) => [h("dt", null, name), h("dd", null, value)]));
  const parts = one.parts?.filter((/** @type {any} */ part) => part.cost_nano !== "0");
  const names = /** @type {Record<string, string>} */ ({ input: "Input", output: "Output", cache_read: "Cache read", cache_write: "Cache write" });
  return [
    one.scope && h("div", { class: "banner bad" }, h("strong", null, `Refused by the ${one.scope.kind} ${one.scope.label}. `), one.scope.reason, " ",
      one.scope.kind === "key" && h("a", { href: context.link("keys", { q: one.scope.label }) }, "Show the key")),
    pairs([
      ["Id", h("code", { class: "wrap" }, one.id)],
      ["Outcome", h("span", { class: kind }, `${text} ${one.status || ""} ${one.code ?? ""}`)],
      ["Requests alike", one.count > 1 && count(one.count)],
      ["Began", exactTime(one.at, zone)], ["Ended", one.ended_at && exactTime(one.ended_at, zone)],
      ["Key", named(one.key)], ["Team", one.team && named(one.team)], ["User", one.user], ["End user", one.end_user],
      ["Kind", one.call_type], ["Asked for", one.model_asked], ["Served by", one.model], ["Region, reach", one.region && `${one.region}, ${one.reach ?? "unknown"}`],
      ["Tier", one.tier], ["Attempts", one.attempts || null],
      ["First byte, total", one.total_ms !== null && `${millis(one.ttft_ms)}, ${millis(one.total_ms)}`],
      ["Session", one.session], ["Address", one.ip], ["Tags", one.tags?.length > 0 && one.tags.join(", ")],
    ]),
    one.state !== "refused" && h("section", null, h("h3", null, "Tokens and cost"), pairs([
      ["Input", count(one.input)], ["Output", count(one.output)], ["Cache read", count(one.cache_read)],
      ["Cache write", one.cache_write > 0 && `${count(one.cache_write)} (5 min ${count(one.cache_write_5m)}, 1 h ${count(one.cache_write_1h)})`],
      ...(parts ?? []).map((/** @type {any} */ part) => [`Cost of ${names[part.part].toLowerCase()}`, h("span", { title: exactMoney(part.cost_nano) }, money(part.cost_nano))]),
      ["Cost", h("strong", { title: exactMoney(one.cost_nano) }, `${one.state === "estimated" ? "~ " : ""}${one.cost_nano === null ? "unknown: no price" : money(one.cost_nano)}`)],
      ["Reserved before", money(one.reserved_nano)], ["Price row", one.price_row], ["Price from", one.price_source],
      ["Further units", one.units && JSON.stringify(one.units)],
    ])),
    one.budgets?.length > 0 && h("section", null, h("h3", null, "Budgets it counted in"), pairs(one.budgets.map((/** @type {any} */ budget) => [budget.kind, `${budget.label}: ${money(budget.max_nano)}, window ${budget.window}`]))),
    one.metadata && h("section", null, h("h3", null, "Metadata of the caller"), h("pre", { class: "code" }, JSON.stringify(one.metadata, null, 2))),
    h("details", null, h("summary", null, "Texts"), h("p", { class: "quiet" }, CONTENT_NOT_KEPT)),
    one.model_asked && h("p", null, button("Copy as curl", () => copy(one))),
  ];
}

/** @param {any} one */
async function copy(one) {
  const text = `curl ${new URL("v1/chat/completions", BASE).href} -H "authorization: Bearer $KEY" -H 'content-type: application/json' -d '${JSON.stringify({ model: one.model_asked, messages: [{ role: "user", content: "…" }] }).replace(/'/g, "'\\''")}'`;
  try {
    await navigator.clipboard.writeText(text);
    say("Copied, without the key and the text.");
  } catch {
    say("The browser does not let pages copy here.", "bad");
  }
}
