// A request by each API, with a key that is pasted: the answer as it comes, raw bodies, usage, cost and times.

import { address, get } from "../api.js";
import { append, button, field, h, replace, say } from "../dom.js";
import { count, exactMoney, millis, money } from "../format.js";
import { EventReader, FrameReader, SURFACES } from "../surfaces.js";

/** @typedef {import("../main.js").Context} Context */

/** What was typed stays while the console is open; the key is in no address and no storage. */
const typed = { key: "", model: "", system: "", text: "Say hello in one sentence.", max: "256", temperature: "", stream: true, dry: false };
/** @type {AbortController | null} */
let running = null;
const LONGEST = 200_000;

/** @param {Context} context */
export async function show(context) {
  const { params, place } = context;
  if (place.querySelector("form") && place.dataset.surface === (params.api ?? "chat")) return () => running?.abort();
  place.dataset.surface = params.api ?? "chat";
  if (params.model) typed.model = params.model;
  const surface = SURFACES[params.api ?? "chat"] ?? SURFACES.chat;
  const input = (/** @type {keyof typeof typed} */ name, /** @type {Record<string, any>} */ attributes, tag = "input") =>
    h(tag, { name, value: typed[name], autocomplete: "off", oninput: (/** @type {Event} */ event) => { /** @type {any} */ (typed)[name] = /** @type {HTMLInputElement} */ (event.target).value; }, ...attributes });
  const check = (/** @type {"stream" | "dry"} */ name, /** @type {string} */ label) => h("label", { class: "check" },
    h("input", { type: "checkbox", name, checked: typed[name], onchange: (/** @type {Event} */ event) => { typed[name] = /** @type {HTMLInputElement} */ (event.target).checked; } }), label);
  const out = {
    text: h("div", { class: "answer", tabindex: "0", role: "region", "aria-label": "Answer" }), facts: h("dl", { class: "pairs" }),
    request: h("pre", { class: "code", tabindex: "0" }), raw: h("pre", { class: "code", tabindex: "0" }), state: h("p", { role: "status", class: "quiet" }),
  };
  const send = /** @type {HTMLButtonElement} */ (h("button", { type: "submit", class: "primary" }, "Send"));
  const stop = /** @type {HTMLButtonElement} */ (button("Stop", () => running?.abort(), { disabled: true, "data-act": "stop" }));
  replace(place,
    h("div", { class: "title" }, h("h1", null, "Playground"), h("p", { class: "quiet" }, "Calls the gateway as a program would, with its limits and its policy. The calls cost money, except with the emulator.")),
    h("nav", { class: "tabs", "aria-label": "APIs" }, Object.entries(SURFACES).map(([id, one]) =>
      h("a", { href: context.link("playground", { api: id === "chat" ? null : id }), "aria-current": one === surface ? "page" : null }, one.name))),
    h("div", { class: "columns two" },
      h("form", { class: "card record", onsubmit: async (/** @type {Event} */ event) => {
        event.preventDefault();
        [send.disabled, stop.disabled] = [true, false];
        try {
          await ask(surface, out);
        } finally {
          [send.disabled, stop.disabled] = [false, true];
        }
      } },
      field("Key", input("key", { type: "password", required: true, spellcheck: "false" }), "Of a caller: paste it. It is sent with this call alone."),
      field("Model", input("model", { required: true, placeholder: "nova-lite", spellcheck: "false", "data-filter": "" })),
      field("System", input("system", { rows: 2 }, "textarea")),
      field("Message", input("text", { rows: 5, required: true }, "textarea")),
      h("div", { class: "grid" }, field("Longest answer in tokens", input("max", { type: "number", min: 1 })), field("Temperature", input("temperature", { type: "number", min: 0, max: 2, step: "any" }))),
      h("div", { class: "tools" }, check("stream", "Stream"), check("dry", "Dry run: show what would be sent to Bedrock")),
      h("footer", null, stop, send)),
      h("div", { class: "card" }, h("header", null, h("h2", null, "Answer"), out.state), out.text, out.facts,
        h("details", null, h("summary", null, "Request"), h("div", { class: "tools" }, button("Copy as curl", () => copy(surface), { class: "quiet" })), out.request),
        h("details", null, h("summary", null, "Raw answer"), out.raw))));
  return () => running?.abort();
}

function asked() {
  const number = (/** @type {string} */ text) => (text === "" ? null : Number(text));
  const dry = typed.dry;
  return { model: typed.model.trim(), system: typed.system, text: typed.text, max: number(typed.max), temperature: number(typed.temperature), stream: typed.stream && !dry };
}

/** @param {import("../surfaces.js").Surface} surface */
async function copy(surface) {
  const body = JSON.stringify(surface.body(asked())).replace(/'/g, "'\\''");
  try {
    await navigator.clipboard.writeText(`curl '${address(surface.path(asked())).href}' -H "authorization: Bearer $KEY" -H 'content-type: application/json' -d '${body}'`);
    say("Copied, without the key.");
  } catch {
    say("The browser does not let pages copy here.", "bad");
  }
}

/** @param {import("../surfaces.js").Surface} surface @param {Record<string, HTMLElement>} out */
async function ask(surface, out) {
  const question = asked();
  const body = surface.body(question);
  running = new AbortController();
  const signal = running.signal;
  const began = performance.now();
  const state = { text: "", raw: "", first: /** @type {number | null} */ (null), usage: /** @type {any} */ (null), error: "" };
  for (const place of Object.values(out)) replace(place);
  replace(out.state, "…");
  replace(out.request, JSON.stringify(body, null, 2));
  /** @type {Response | null} */
  let response = null;
  try {
    response = await fetch(address(surface.path(question)), {
      method: "POST", signal, body: JSON.stringify(body), cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer",
      headers: { authorization: `Bearer ${typed.key.trim()}`, "content-type": "application/json", ...(typed.dry ? { "x-outcrop-dry-run": "true" } : {}) },
    });
    const kind = response.headers.get("content-type") ?? "";
    if (response.ok && /event-?stream/.test(kind)) await stream(response, surface, { state, out, began });
    else {
      const raw = await response.text();
      state.first = performance.now() - began;
      state.raw = raw;
      const told = JSON.parse(raw);
      const heard = typed.dry && response.ok ? { text: JSON.stringify(told, null, 2) } : surface.answer(told);
      [state.text, state.usage, state.error] = [heard.text ?? "", heard.usage, heard.error ?? ""];
    }
  } catch (error) {
    state.error = signal.aborted ? "Stopped." : /** @type {Error} */ (error).message;
  }
  finish(response, { state, out, took: performance.now() - began });
  running = null;
}

/** @param {Response} response @param {import("../surfaces.js").Surface} surface @param {any} place */
async function stream(response, surface, { state, out, began }) {
  const frames = (response.headers.get("content-type") ?? "").includes("vnd.amazon") ? new FrameReader() : null;
  const lines = new EventReader();
  const decoder = new TextDecoder();
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    state.first ??= performance.now() - began;
    const events = frames ? frames.push(value) : lines.push(decoder.decode(value, { stream: true }));
    for (const event of events) {
      const heard = surface.event(event);
      state.text += heard.text ?? "";
      state.usage = heard.usage ? { ...state.usage, ...heard.usage } : state.usage;
      state.error = heard.error ?? state.error;
      if (state.raw.length < LONGEST) state.raw += `${JSON.stringify(event)}\n`;
    }
    replace(out.text, state.text);
  }
}

/** Adds the cost of a call as the ledger has it, where its answer does not tell. @param {string} id @param {HTMLElement} place */
async function costOf(id, place) {
  try {
    const row = await get(`/outcrop/requests/${encodeURIComponent(id)}`);
    if (row.state !== "running") append(place, [h("dt", null, "Cost"), h("dd", { title: exactMoney(row.cost_nano) }, money(row.cost_nano))]);
  } catch {
    // The answer itself is shown; its row is a click away.
  }
}

/** @param {Response | null} response @param {any} place */
function finish(response, { state, out, took }) {
  const header = (/** @type {string} */ name) => response?.headers.get(name) ?? null;
  replace(out.text, state.text, state.error && h("p", { class: "bad", role: "alert" }, state.error));
  replace(out.raw, state.raw.length >= LONGEST ? `${state.raw.slice(0, LONGEST)}\n… cut` : state.raw);
  replace(out.state, response ? `${response.status}, ${millis(took)}` : "no answer");
  const usage = state.usage ?? {};
  const tokens = [usage.prompt_tokens ?? usage.input_tokens ?? usage.inputTokens, usage.completion_tokens ?? usage.output_tokens ?? usage.outputTokens];
  const cost = usage.cost_usd ?? usage.cost ?? header("x-outcrop-cost-usd");
  const pairs = /** @type {[string, any][]} */ ([
    ["Tokens in, out", tokens[0] === undefined ? null : `${count(tokens[0])}, ${count(tokens[1] ?? 0)}`],
    ["Cost", cost === null || cost === undefined ? null : `$${cost}`],
    ["First byte, total", `${millis(state.first)}, ${millis(took)}`],
    ["Served by", header("x-outcrop-target")], ["Region", header("x-outcrop-region")], ["Attempts", header("x-outcrop-attempts")],
    ["Without effect", header("x-outcrop-ignored")], ["Refused by", header("x-outcrop-limit")],
    ["Request id", header("x-request-id") && h("a", { href: `#/requests?open=${encodeURIComponent(header("x-request-id") ?? "")}` }, header("x-request-id"))],
  ]);
  const id = header("x-request-id");
  if (id && (cost === null || cost === undefined)) void costOf(id, out.facts);
  replace(out.facts, pairs.filter(([, value]) => value !== null).map(([name, value]) => [h("dt", null, name), h("dd", null, value)]));
}
