// Keys, and in further tabs teams, users, customers, budgets and tags.

import { get } from "../api.js";
import { button, h, replace, table } from "../dom.js";
import { count, exactTime, moment, nanodollars, ofDollars, until } from "../format.js";
import { hashOf, kept, zoneOf } from "../range.js";
import { EMPTY } from "../texts.js";
import { budgetBar } from "./overview.js";
import { createKey, editKey } from "./key_dialogs.js";
import { KINDS, showRecords } from "./records.js";

/** @typedef {import("../main.js").Context} Context */

export const REFRESHED = true;
const SIZE = 50;
const TABS = /** @type {[string, string][]} */ ([
  ["keys", "Keys"], ["teams", "Teams"], ["users", "Users"], ["customers", "Customers"], ["budgets", "Budgets"], ["tags", "Tags"],
]);

/** @param {Context} context */
export async function show(context) {
  const { params, place, signal } = context;
  const tab = params.tab ?? "keys";
  if (tab !== "keys" && KINDS[tab]) return showRecords(context, tab, tabs(context, tab));
  const page = Number(params.page) || 1;
  const by = params.sort ?? "created_at";
  const ascending = params.order === "asc";
  const answer = await get("/key/list", {
    return_full_object: true, page, size: SIZE, sort_by: by, sort_order: ascending ? "asc" : "desc",
    search: params.q, status: params.status, team_id: params.team, user_id: params.user,
  }, signal);
  replace(place,
    h("div", { class: "title" }, h("h1", null, "Keys"), h("p", { class: "quiet" }, `${count(answer.total_count)} keys`)),
    tabs(context, "keys"),
    h("div", { class: "filters" },
      search(context, "Search alias or key"),
      status(context),
      h("span", { class: "stretch" }),
      context.session.can_change && button("New key", () => createKey(context), { class: "primary", "data-act": "new-key" })),
    keyTable(answer.keys, context, { by, ascending, set: (/** @type {string} */ by, /** @type {boolean} */ up) => context.set({ sort: by, order: up ? "asc" : null, page: null }) }),
    pages(context, page, answer.total_pages));
}

/** @param {Context} context @param {string} chosen */
function tabs(context, chosen) {
  return h("nav", { class: "tabs", "aria-label": "Kinds of records" }, TABS.map(([id, name]) =>
    h("a", { href: hashOf("keys", { ...kept(context.params), tab: id === "keys" ? null : id }), "aria-current": id === chosen ? "page" : null }, name)));
}

/** A field that searches as the reader types. @param {Context} context @param {string} label */
export function search(context, label) {
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const input = h("input", { type: "search", placeholder: label, "aria-label": label, "data-filter": "", value: context.params.q ?? "",
    oninput: (/** @type {Event} */ event) => {
      clearTimeout(timer);
      const text = /** @type {HTMLInputElement} */ (event.target).value;
      timer = setTimeout(() => context.set({ q: text || null, page: null, searching: null }), 300);
    } });
  // The screen is drawn again while somebody types.
  const before = /** @type {HTMLInputElement | null} */ (context.place.querySelector("input[type=search]"));
  if (before && before === document.activeElement) {
    const at = before.selectionStart;
    queueMicrotask(() => {
      input.focus();
      /** @type {HTMLInputElement} */ (input).setSelectionRange(at, at);
    });
  }
  return input;
}

/** @param {Context} context */
function status(context) {
  const chosen = context.params.status ?? "";
  const choices = /** @type {[string, string][]} */ ([["", "all states"], ["active", "active"], ["revoked", "blocked"], ["expired", "expired"], ["deleted", "deleted"]]);
  return h("select", { "aria-label": "State", onchange: (/** @type {Event} */ event) =>
    context.set({ status: /** @type {HTMLSelectElement} */ (event.target).value || null, page: null }) },
  choices.map(([value, name]) => h("option", { value, selected: value === chosen }, name)));
}

/** @param {Context} context @param {number} page @param {number} last */
export function pages(context, page, last) {
  if (last <= 1) return null;
  return h("nav", { class: "pages", "aria-label": "Pages" },
    button("Newer", () => context.set({ page: page - 1 }), { disabled: page <= 1 }),
    h("span", null, `page ${page} of ${count(last)}`),
    button("Older", () => context.set({ page: page + 1 }), { disabled: page >= last }));
}

/** The state of a key as a word and a sign. @param {any} key */
export function keyState(key) {
  const states = /** @type {Record<string, [string, string]>} */ ({
    active: ["✓ active", "fine"], revoked: ["✕ blocked", "bad"], expired: ["– expired", "quiet"], deleted: ["– deleted", "quiet"],
  });
  const [text, kind] = states[key.status] ?? [key.status, "quiet"];
  return h("span", { class: kind }, text);
}

/** The budget of a row, its own or that of its budget row. @param {any} row */
export function budgetOf(row) {
  const max = row.max_budget ?? row.litellm_budget_table?.max_budget ?? null;
  const spent = ofDollars(row.spend) ?? 0n;
  return budgetBar(spent, ofDollars(row.outcrop?.reserved) ?? 0n, max === null ? null : nanodollars(ofDollars(max)?.toString()));
}

/** Rates as a short text. @param {any} row */
export function ratesOf(row) {
  const limits = row.litellm_budget_table ?? {};
  const of = (/** @type {string} */ name) => row[name] ?? limits[name] ?? null;
  const texts = [
    of("rpm_limit") !== null && `${count(of("rpm_limit"))} rpm`, of("tpm_limit") !== null && `${count(of("tpm_limit"))} tpm`,
    of("max_parallel_requests") !== null && `${count(of("max_parallel_requests"))} at once`,
  ].filter(Boolean);
  return texts.length > 0 ? texts.join(", ") : "–";
}

/** A list cut to a few. @param {string[] | null | undefined} names @param {string} none */
export function few(names, none) {
  if (!names || names.length === 0) return h("span", { class: "quiet" }, none);
  const more = names.length > 2 ? ` +${names.length - 2}` : "";
  return h("span", { title: names.join("\n") }, names.slice(0, 2).join(", ") + more);
}

/** @param {any[]} rows @param {Context} context @param {any} sort */
function keyTable(rows, context, sort) {
  const zone = zoneOf(context.params);
  return table({
    caption: "Keys", rows, sort, empty: EMPTY.keys,
    columns: [
      { name: "Alias", sort: "key_alias", kind: "name", cell: (key) => [
        button(key.key_alias ?? "(no alias)", () => editKey(context, key), { class: "link", "data-key": key.token, title: key.key_alias }),
        h("small", null, key.key_name)] },
      { name: "State", cell: keyState },
      { name: "Team", cell: (key) => (key.team_id ? h("a", { href: context.link("keys", { team: key.team_id }) }, key.team_id) : "–") },
      { name: "User", cell: (key) => key.user_id ?? "–" },
      { name: "Spend of the window", sort: "spend", kind: "grow", cell: (key) => [budgetOf(key),
        key.budget_reset_at && h("small", null, `resets ${until(key.budget_reset_at)}`)] },
      { name: "Rates", cell: ratesOf },
      { name: "Models", cell: (key) => few(key.models, "all") },
      { name: "Expires", cell: (key) => (key.expires ? h("span", { title: exactTime(key.expires, zone) }, until(key.expires)) : "never") },
      { name: "Last used", cell: (key) => (key.last_active ? h("span", { title: exactTime(key.last_active, zone) }, until(key.last_active)) : "–") },
      { name: "Created", sort: "created_at", cell: (key) => [h("span", { title: exactTime(key.created_at, zone) }, moment(key.created_at, zone).slice(0, 6)), h("small", null, `by ${key.created_by}`)] },
      { name: "Calls", cell: (key) => h("a", { href: context.link("requests", { key: key.token, range: "30d" }) }, "show") },
    ],
  });
}
