// Dialogs of keys: make, show once, change, block, regenerate, delete.

import { BASE, post } from "../api.js";
import { button, dialog, field, h, replace, say } from "../dom.js";
import { exactTime } from "../format.js";
import { zoneOf } from "../range.js";

/** @typedef {import("../main.js").Context} Context */
/** @typedef {{name: string, label: string, kind?: "text" | "number" | "list" | "select", choices?: [string, string][], hint?: string, only?: "new" | "edit", required?: boolean}} Field */

/** Limits that keys, teams and other records have in common. */
export const LIMITS = /** @type {Field[]} */ ([
  { name: "max_budget", label: "Budget in US dollars", kind: "number", hint: "Empty is none; 0 lets nothing pass." },
  { name: "budget_duration", label: "Window of the budget", hint: "1d, 7d, 30d, 1h; empty is the lifetime." },
  { name: "rpm_limit", label: "Requests a minute", kind: "number" },
  { name: "tpm_limit", label: "Tokens a minute", kind: "number" },
  { name: "max_parallel_requests", label: "Calls at the same time", kind: "number" },
]);

const FIELDS = /** @type {Field[]} */ ([
  { name: "key_alias", label: "Alias", hint: "For people; unique." },
  { name: "team_id", label: "Team", hint: "Id of a team.", only: "new" },
  { name: "user_id", label: "User", hint: "Id of a user.", only: "new" },
  { name: "models", label: "Models", kind: "list", hint: "Names, ids or patterns with *, with commas between; empty is all." },
  ...LIMITS,
  { name: "duration", label: "Expires after", hint: "30d, 12h; empty is never." },
  { name: "key_type", label: "May call", kind: "select", only: "new", choices: [["", "models and admin API"], ["llm_api", "models"], ["management", "the admin API"], ["read_only", "reads only"]] },
]);

/** @param {Field} one @param {any} value */
function control(one, value) {
  if (one.kind === "select") {
    return h("select", { name: one.name }, (one.choices ?? []).map(([id, label]) => h("option", { value: id, selected: id === (value ?? "") }, label)));
  }
  const text = Array.isArray(value) ? value.join(", ") : value ?? "";
  const number = one.kind === "number";
  return h("input", { name: one.name, value: text, type: number ? "number" : "text", min: number ? 0 : null, step: number ? "any" : null, required: one.required, autocomplete: "off", spellcheck: "false" });
}

/** @param {Field} one @param {HTMLInputElement} input */
function read(one, input) {
  const text = input.value.trim();
  if (one.kind === "list") return text.split(",").map((name) => name.trim()).filter(Boolean);
  if (text === "") return null;
  return one.kind === "number" ? Number(text) : text;
}

/**
 * A form whose changed fields are sent.
 * @param {Field[]} fields @param {any} record @param {string} label @param {(changed: Record<string, any>) => Promise<void>} act @param {boolean} [readOnly]
 */
export function recordForm(fields, record, label, act, readOnly = false) {
  const controls = fields.map((one) => /** @type {HTMLInputElement} */ (control(one, record?.[one.name])));
  const told = h("p", { class: "bad", role: "alert" });
  const submit = /** @type {HTMLButtonElement} */ (h("button", { type: "submit", class: "primary" }, label));
  for (const one of controls) one.disabled = readOnly;
  return h("form", { class: "record", onsubmit: async (/** @type {Event} */ event) => {
    event.preventDefault();
    /** @type {Record<string, any>} */
    const changed = {};
    fields.forEach((one, at) => {
      const value = read(one, controls[at]);
      const before = record ? record[one.name] ?? (one.kind === "list" ? [] : null) : one.kind === "list" ? [] : null;
      if (JSON.stringify(value) !== JSON.stringify(before)) changed[one.name] = value;
    });
    submit.disabled = true;
    replace(told);
    try {
      await act(changed);
    } catch (error) {
      replace(told, /** @type {Error} */ (error).message);
      const at = fields.findIndex((one) => one.name === /** @type {any} */ (error).param);
      if (at >= 0) controls[at].focus();
    } finally {
      submit.disabled = false;
    }
  } },
  h("div", { class: "grid" }, fields.map((one, at) => field(one.label, controls[at], one.hint))),
  told, !readOnly && h("footer", null, submit));
}

/** @param {Context} context */
export function createKey(context) {
  dialog("New key", (close) => [recordForm(FIELDS, null, "Make the key", async (fields) => {
    const made = await post("/key/generate", fields);
    close();
    showOnce(context, made);
  })]);
}

/** Snippets with a key filled in. @param {any} made */
function snippets(made) {
  const base = BASE.href.replace(/\/$/, "");
  const key = made.key;
  const model = made.models?.[0] && !made.models[0].includes("*") ? made.models[0] : "nova-lite";
  const aws = made.outcrop ?? {};
  return /** @type {[string, string][]} */ ([
    ["curl", `curl ${base}/v1/chat/completions \\\n  -H 'authorization: Bearer ${key}' \\\n  -H 'content-type: application/json' \\\n  -d '{"model": "${model}", "messages": [{"role": "user", "content": "Hello"}]}'`],
    ["openai-python", `from openai import OpenAI\n\nclient = OpenAI(base_url="${base}/v1", api_key="${key}")\nanswer = client.chat.completions.create(\n    model="${model}",\n    messages=[{"role": "user", "content": "Hello"}],\n)\nprint(answer.choices[0].message.content)`],
    ["boto3", `import boto3\n\nbedrock = boto3.client(\n    "bedrock-runtime",\n    endpoint_url="${base}/bedrock",\n    region_name="us-east-1",\n    aws_access_key_id="${aws.aws_access_key_id ?? "unknown"}",\n    aws_secret_access_key="${aws.aws_secret_access_key ?? "unknown"}",\n)\nanswer = bedrock.converse(\n    modelId="${model}",\n    messages=[{"role": "user", "content": [{"text": "Hello"}]}],\n)\nprint(answer["output"]["message"]["content"][0]["text"])`],
    ["Claude Code", `ANTHROPIC_BASE_URL=${base} \\\nANTHROPIC_AUTH_TOKEN=${key} \\\nclaude`],
  ]);
}

/** Shows a key the only time. The dialog closes only when the key was copied, or by a word. @param {Context} context @param {any} made */
function showOnce(context, made) {
  const all = snippets(made);
  const shown = h("pre", { class: "code", tabindex: "0" }, all[0][1]);
  const close = { act: () => {} };
  const finish = /** @type {HTMLButtonElement} */ (button("I have it", () => close.act(), { class: "primary", "data-act": "have-it" }));
  const copy = async (/** @type {string} */ text) => {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied.");
      replace(finish, "Close");
    } catch {
      say("The browser does not let pages copy here: select the text and copy it.", "bad");
    }
  };
  const tabs = all.map(([name, text], at) => button(name, () => {
    replace(shown, text);
    tabs.forEach((tab, other) => tab.setAttribute("aria-pressed", String(other === at)));
  }, { class: "quiet", "aria-pressed": String(at === 0) }));
  const made_ = dialog("The key is shown this once", () => [
    h("p", null, "Copy it now. The gateway keeps a digest of it and cannot show it again; a lost key is regenerated."),
    h("div", { class: "secret" }, h("code", { "data-secret": "" }, made.key), button("Copy the key", () => copy(made.key), { "data-act": "copy-key" })),
    h("div", { class: "tools" }, tabs),
    shown,
    h("footer", null, button("Copy the example", () => copy(/** @type {string} */ (shown.textContent))), finish),
  ], { must: true, wide: true, onclose: () => {
    // Nothing of it stays in the page.
    made = null;
    all.length = 0;
    replace(shown);
    void context.reload();
  } });
  close.act = made_.close;
}

/** Asks before something that cannot be undone. @param {string} title @param {any[]} text @param {string} word @param {string} label @param {() => Promise<void>} act */
export function confirm(title, text, word, label, act) {
  dialog(title, (close) => {
    const told = h("p", { class: "bad", role: "alert" });
    const input = /** @type {HTMLInputElement} */ (h("input", { autocomplete: "off", "aria-label": `Type ${word}`, oninput: () => { submit.disabled = input.value !== word; } }));
    const submit = /** @type {HTMLButtonElement} */ (h("button", { type: "submit", class: "danger", disabled: true }, label));
    return [h("form", { onsubmit: async (/** @type {Event} */ event) => {
      event.preventDefault();
      try {
        await act();
        close();
      } catch (error) {
        replace(told, /** @type {Error} */ (error).message);
      }
    } }, text, h("label", { class: "field" }, h("span", null, "Type ", h("strong", null, word), " to confirm"), input), told, h("footer", null, submit))];
  });
}

/** @param {Context} context @param {any} key */
export function editKey(context, key) {
  const name = key.key_alias ?? key.key_name;
  const may = context.session.can_change && key.status !== "deleted";
  const zone = zoneOf(context.params);
  const fields = FIELDS.filter((one) => one.only !== "new");
  // An update asks for a duration from now on; the field shows none.
  const record = { ...key, duration: null };
  const opened = dialog(`Key ${name}`, (close) => [
    h("dl", { class: "pairs" }, [
      ["Key", key.key_name], ["Handle", h("code", { class: "wrap" }, key.token)], ["Team", key.team_id ?? "–"], ["User", key.user_id ?? "–"],
      ["AWS access key id", key.outcrop?.aws_access_key_id ?? "–"], ["Lifetime spend", `$${key.total_spend}`],
      ["Created", `${exactTime(key.created_at, zone)} by ${key.created_by}`], ["Changed", `${exactTime(key.updated_at, zone)} by ${key.updated_by}`],
      ["Expires", key.expires ? exactTime(key.expires, zone) : "never"],
    ].map(([label, value]) => [h("dt", null, label), h("dd", null, value)])),
    recordForm(fields, record, "Save", async (changed) => {
      if (Object.keys(changed).length > 0) await post("/key/update", { key: key.token, ...changed });
      close();
      say(`Key ${name} is changed.`);
      await context.reload();
    }, !may),
    may && h("section", { class: "acts" },
      button(key.blocked ? "Unblock" : "Block", () => act(context, close, `/key/${key.blocked ? "unblock" : "block"}`, { key: key.token }, `Key ${name} is ${key.blocked ? "unblocked" : "blocked"}.`), { "data-act": "block" }),
      button("Regenerate…", () => regenerate(context, key, close), { "data-act": "regenerate" }),
      button("Delete…", () => {
        close();
        confirm("Delete the key", [h("p", null, "Programs that use it are refused at once. Its spend stays in the reports.")], name, "Delete the key", async () => {
          await post("/key/delete", { keys: [key.token] });
          say(`Key ${name} is deleted.`);
          await context.reload();
        });
      }, { class: "danger", "data-act": "delete" })),
  ], { wide: true });
  return opened;
}

/** @param {Context} context @param {() => void} close @param {string} path @param {any} body @param {string} told */
async function act(context, close, path, body, told) {
  try {
    await post(path, body);
    close();
    say(told);
    await context.reload();
  } catch (error) {
    say(/** @type {Error} */ (error).message, "bad");
  }
}

/** @param {Context} context @param {any} key @param {() => void} closeFirst */
function regenerate(context, key, closeFirst) {
  closeFirst();
  dialog(`Regenerate ${key.key_alias ?? key.key_name}`, (close) => [
    h("p", null, "A new secret with the same limits and spend. The old one works until its grace period is over."),
    recordForm([{ name: "grace_period", label: "Grace period of the old key", hint: "24h, 15m; empty ends it at once." }], null, "Regenerate", async (fields) => {
      const made = await post("/key/regenerate", { key: key.token, ...fields });
      close();
      showOnce(context, made);
    }),
  ]);
}
