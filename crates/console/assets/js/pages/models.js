// Names with their targets: health, price in use, life cycle, and calls of the last day.

import { get } from "../api.js";
import { h, replace, table } from "../dom.js";
import { count, exactMoney, millis, money, percent, short } from "../format.js";
import { HEALTH, STAGES } from "../texts.js";
import { search } from "./keys.js";

/** @typedef {import("../main.js").Context} Context */

export const REFRESHED = true;

/** @param {Context} context */
export async function show(context) {
  const { params, place, signal } = context;
  const data = await get("/outcrop/models", { search: params.q }, signal);
  const own = data.names.filter((/** @type {any} */ name) => name.configured);
  const others = data.names.filter((/** @type {any} */ name) => !name.configured);
  replace(place,
    h("div", { class: "title" }, h("h1", null, "Models"), h("p", { class: "quiet" }, "Prices in US dollars for a million tokens. Calls and spend of the last 24 hours; health as this process sees it.")),
    h("div", { class: "filters" }, search(context, "Search name or id")),
    own.length > 0 && h("section", null, h("h2", null, "Configured names"), models(own, context, "Configured names")),
    h("section", null, h("h2", null, own.length > 0 ? "Other models served" : "Models served"),
      data.more > 0 && h("p", { class: "quiet" }, `The first ${count(data.names.length)}; ${count(data.more)} more: narrow the search.`),
      models(others, context, "Other models")));
}

/** @param {any[]} names @param {Context} context @param {string} caption */
function models(names, context, caption) {
  const rows = names.flatMap((name) => name.targets.map((/** @type {any} */ target, /** @type {number} */ at) => ({ name, target, first: at === 0, order: at + 1 })));
  const price = (/** @type {string} */ part, /** @type {string} */ label) => ({
    name: label, number: true, cell: (/** @type {any} */ row) => row.target.price?.[part] ?? h("span", { class: "quiet" }, "–"),
  });
  return table({
    caption, rows, empty: "No model matches.",
    columns: [
      { name: "Name", kind: "name", cell: (row) => (row.first ? [h("strong", null, row.name.name),
        row.name.mode === "chat" && h("a", { href: context.link("playground", { model: row.name.name }), class: "small" }, "try")] : h("span", { class: "quiet", title: row.name.name }, "″ fallback")) },
      { name: "Target", kind: "name", cell: (row) => [h("span", { title: row.target.model }, row.target.model), h("small", null, row.target.region)] },
      { name: "Health", cell: (row) => {
        const [text, kind, title] = HEALTH[row.target.state] ?? [row.target.state, "quiet", ""];
        return [h("span", { class: kind, title }, text), row.target.in_flight > 0 && h("small", null, `${count(row.target.in_flight)} in flight`)];
      } },
      { name: "First byte", number: true, cell: (row) => millis(row.target.latency_ms) },
      { name: "Calls", number: true, cell: (row) => (row.target.calls > 0
        ? [h("a", { href: context.link("requests", { model: row.target.base ?? row.target.model, range: "24h" }) }, count(row.target.calls)),
          row.target.failed > 0 && h("small", { class: "bad" }, `${percent(row.target.failed, row.target.calls)} failed`)] : "0") },
      { name: "Spend", number: true, cell: (row) => h("span", { title: exactMoney(row.target.spend_nano) }, money(row.target.spend_nano)) },
      price("input", "In"), price("output", "Out"), price("cache_read", "Cached"),
      { name: "Price from", cell: (row) => {
        const found = row.target.price;
        if (!found) return h("span", { class: "warn" }, "▲ no price");
        return h("span", { title: `${found.row}\n${found.source}${found.dated ? `, stated ${found.dated}` : ""}` }, found.source, found.dated && h("small", null, found.dated));
      } },
      { name: "Life cycle", cell: (row) => {
        const { status, end_of_life, successor, shutdown } = row.target.lifecycle;
        const [text, kind] = STAGES[status] ?? [status, "quiet"];
        const end = end_of_life ?? shutdown;
        return [h("span", { class: kind }, text), end && h("small", null, `until ${end}`), successor && h("small", null, `then ${successor}`)];
      } },
      { name: "Context", number: true, cell: (row) => (row.target.context ? short(row.target.context) : "–") },
    ],
  });
}
