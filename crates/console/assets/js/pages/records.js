// Teams, users, customers, budgets and tags: one table and one form for each, described as data.

import { get, post } from "../api.js";
import { button, dialog, h, replace, say, table } from "../dom.js";
import { count, money, ofDollars, until } from "../format.js";
import { LIMITS, confirm, recordForm } from "./key_dialogs.js";
import { budgetOf, few, pages, ratesOf, search } from "./keys.js";

/** @typedef {import("../main.js").Context} Context */
/** @typedef {import("./key_dialogs.js").Field} Field */
/**
 * @typedef {{name: string, one: string, id: string, label: (row: any) => string, list: string, query?: (params: any) => any,
 *   rows: (answer: any) => any[], total?: (answer: any) => [number, number], make: string, change: string,
 *   remove: [string, (row: any) => any], block?: [string, (row: any) => any], filter: string | null, fields: Field[],
 *   columns: (context: Context) => import("../dom.js").Column[], command: string}} Kind
 */

const SIZE = 50;
const MODELS = /** @type {Field} */ ({ name: "models", label: "Models", kind: "list", hint: "With commas between; empty is all." });
const spend = { name: "Spend of the window", kind: "grow", cell: (/** @type {any} */ row) => [budgetOf(row), row.budget_reset_at && h("small", null, `resets ${until(row.budget_reset_at)}`)] };
const rates = { name: "Rates", cell: ratesOf };
const models = { name: "Models", cell: (/** @type {any} */ row) => few(row.models, "all") };
const state = { name: "State", cell: (/** @type {any} */ row) => (row.blocked ? h("span", { class: "bad" }, "✕ blocked") : h("span", { class: "fine" }, "✓ active")) };

export const KINDS = /** @type {Record<string, Kind>} */ ({
  teams: {
    name: "Teams", one: "team", id: "team_id", label: (row) => row.team_alias ?? row.team_id, filter: "team",
    list: "/v2/team/list", query: (params) => ({ page: params.page ?? 1, page_size: SIZE, team_alias: params.q }),
    rows: (answer) => answer.teams, total: (answer) => [answer.total, answer.total_pages],
    make: "/team/new", change: "/team/update", remove: ["/team/delete", (row) => ({ team_ids: [row.team_id] })],
    block: ["/team", (row) => ({ team_id: row.team_id })],
    fields: [{ name: "team_id", label: "Id", only: "new", hint: "Empty makes one." }, { name: "team_alias", label: "Name" }, MODELS, ...LIMITS],
    columns: (context) => [state, { name: "Members", number: true, cell: (row) => count(row.members_with_roles?.length ?? 0) }, spend, rates, models,
      { name: "Keys", cell: (row) => h("a", { href: context.link("keys", { team: row.team_id }) }, "show") }],
    command: "No teams yet. Make one with “New team”.",
  },
  users: {
    name: "Users", one: "user", id: "user_id", label: (row) => row.user_alias ?? row.user_email ?? row.user_id, filter: "user",
    list: "/user/list", query: (params) => ({ page: params.page ?? 1, page_size: SIZE, user_ids: null, user_email: params.q }),
    rows: (answer) => answer.users, total: (answer) => [answer.total, answer.total_pages],
    make: "/user/new", change: "/user/update", remove: ["/user/delete", (row) => ({ user_ids: [row.user_id] })],
    fields: [{ name: "user_id", label: "Id", only: "new", hint: "Empty makes one." }, { name: "user_email", label: "Mail address" }, { name: "user_alias", label: "Name" },
      { name: "user_role", label: "Role", kind: "select", choices: [["", "none"], ["internal_user", "uses models, has keys"], ["internal_user_viewer", "reads its own"], ["proxy_admin_viewer", "reads all"], ["proxy_admin", "administrator"]] },
      MODELS, ...LIMITS],
    columns: (context) => [{ name: "Role", cell: (row) => row.user_role ?? "–" }, { name: "Teams", cell: (row) => few(row.teams, "–") }, spend, rates, models,
      { name: "Keys", number: true, cell: (row) => h("a", { href: context.link("keys", { user: row.user_id }) }, count(row.key_count)) }],
    command: "No users yet. Make one with “New user”.",
  },
  customers: {
    name: "Customers", one: "customer", id: "user_id", label: (row) => row.alias ?? row.user_id, filter: "end_user",
    list: "/customer/list", rows: (answer) => answer,
    make: "/customer/new", change: "/customer/update", remove: ["/customer/delete", (row) => ({ user_ids: [row.user_id] })],
    block: ["/customer", (row) => ({ user_ids: [row.user_id] })],
    fields: [{ name: "user_id", label: "Id of the end user", only: "new", required: true }, { name: "alias", label: "Name" }, MODELS,
      { name: "budget_id", label: "Budget", hint: "Id of a budget; then no limits of its own." }, ...LIMITS.slice(0, 4)],
    columns: () => [state, spend, { name: "Budget", cell: (row) => row.budget_id ?? "–" }, models],
    command: "No customers with limits of their own. End users of calls are listed in the Overview.",
  },
  budgets: {
    name: "Budgets", one: "budget", id: "budget_id", label: (row) => row.budget_id, filter: null,
    list: "/budget/list", rows: (answer) => answer,
    make: "/budget/new", change: "/budget/update", remove: ["/budget/delete", (row) => ({ id: row.budget_id })],
    fields: [{ name: "budget_id", label: "Id", only: "new", hint: "Empty makes one." }, ...LIMITS],
    columns: () => [{ name: "Budget", number: true, cell: (row) => (row.max_budget === null ? "–" : money(ofDollars(row.max_budget))) },
      { name: "Window", cell: (row) => row.budget_duration ?? "lifetime" }, rates],
    command: "No budgets yet. A budget is shared text: each record that names it has that much for itself.",
  },
  tags: {
    name: "Tags", one: "tag", id: "name", label: (row) => row.name, filter: "tag",
    list: "/tag/list", rows: (answer) => (Array.isArray(answer) ? answer : Object.values(answer)),
    make: "/tag/new", change: "/tag/update", remove: ["/tag/delete", (row) => ({ name: row.name })],
    fields: [{ name: "name", label: "Name", only: "new", required: true }, { name: "description", label: "Description" }, MODELS, ...LIMITS.slice(0, 4)],
    columns: () => [{ name: "Description", cell: (row) => row.description ?? "–" }, spend, models],
    command: "No tags with limits of their own.",
  },
});

/** @param {Context} context @param {string} tab @param {HTMLElement} tabs */
export async function showRecords(context, tab, tabs) {
  const { params, place, signal } = context;
  const kind = KINDS[tab];
  const answer = await get(kind.list, kind.query?.(params), signal);
  let rows = kind.rows(answer);
  let cut = 0;
  const [total, last] = kind.total?.(answer) ?? [rows.length, 1];
  if (!kind.total) {
    const part = (params.q ?? "").toLowerCase();
    rows = rows.filter((row) => `${row[kind.id]} ${kind.label(row)}`.toLowerCase().includes(part));
    cut = Math.max(0, rows.length - 200);
    rows = rows.slice(0, 200);
  }
  const name = {
    name: "Name", kind: "name", cell: (/** @type {any} */ row) => [
      button(kind.label(row), () => edit(context, kind, row), { class: "link", title: kind.label(row) }),
      kind.label(row) !== row[kind.id] && h("small", null, row[kind.id])],
  };
  const calls = { name: "Calls", cell: (/** @type {any} */ row) => h("a", { href: context.link("requests", { [/** @type {string} */ (kind.filter)]: row[kind.id], range: "30d" }) }, "show") };
  replace(place,
    h("div", { class: "title" }, h("h1", null, kind.name), h("p", { class: "quiet" }, `${count(total)} ${kind.name.toLowerCase()}`)),
    tabs,
    h("div", { class: "filters" }, search(context, `Search ${kind.name.toLowerCase()}`), h("span", { class: "stretch" }),
      context.session.can_change && button(`New ${kind.one}`, () => create(context, kind), { class: "primary" })),
    cut > 0 && h("p", { class: "quiet" }, `The first 200 of ${count(cut + 200)}: narrow the search.`),
    table({ caption: kind.name, rows, empty: kind.command, columns: [name, ...kind.columns(context), ...(kind.filter ? [calls] : [])] }),
    pages(context, Number(params.page) || 1, last));
}

/** @param {Context} context @param {Kind} kind */
function create(context, kind) {
  dialog(`New ${kind.one}`, (close) => [recordForm(kind.fields, null, `Make the ${kind.one}`, async (fields) => {
    const made = await post(kind.make, kind.one === "user" ? { auto_create_key: false, ...fields } : fields);
    close();
    say(`The ${kind.one} ${made?.[kind.id] ?? ""} is made.`);
    await context.reload();
  })]);
}

/** @param {Context} context @param {Kind} kind @param {any} row */
function edit(context, kind, row) {
  const may = context.session.can_change;
  const fields = kind.fields.filter((one) => one.only !== "new");
  const name = kind.label(row);
  // Limits of some records are shown in their budget table.
  const record = { ...row.litellm_budget_table, ...row };
  const done = async (/** @type {string} */ text, /** @type {() => void} */ close) => {
    close();
    say(text);
    await context.reload();
  };
  dialog(`${kind.one[0].toUpperCase()}${kind.one.slice(1)} ${name}`, (close) => [
    recordForm(fields, record, "Save", async (changed) => {
      if (Object.keys(changed).length > 0) await post(kind.change, { [kind.id]: row[kind.id], ...changed });
      await done(`${name} is changed.`, close);
    }, !may),
    may && h("section", { class: "acts" },
      kind.block && button(row.blocked ? "Unblock" : "Block", async () => {
        const [path, body] = /** @type {[string, (row: any) => any]} */ (kind.block);
        try {
          await post(`${path}/${row.blocked ? "unblock" : "block"}`, body(row));
          await done(`${name} is ${row.blocked ? "unblocked" : "blocked"}.`, close);
        } catch (error) {
          say(/** @type {Error} */ (error).message, "bad");
        }
      }),
      button("Delete…", () => {
        close();
        confirm(`Delete the ${kind.one}`, [h("p", null, kind.one === "team" || kind.one === "user" ? "Its keys are deleted with it. Spend stays in the reports." : "Spend stays in the reports.")], String(row[kind.id]), `Delete the ${kind.one}`, async () => {
          const [path, body] = kind.remove;
          await post(path, body(row));
          say(`${name} is deleted.`);
          await context.reload();
        });
      }, { class: "danger" })),
  ], { wide: true });
}
