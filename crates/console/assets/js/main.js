// The frame of the console: signing in, the screens, the address, the keyboard, and reading again.

import * as api from "./api.js";
import { button, dialog, h, replace, say, select } from "./dom.js";
import { moment } from "./format.js";
import { OWN_ZONE, RANGES, hashOf, kept, readHash, zoneOf } from "./range.js";
import { HELP, SCREENS } from "./texts.js";
import * as keys from "./pages/keys.js";
import * as models from "./pages/models.js";
import * as overview from "./pages/overview.js";
import * as playground from "./pages/playground.js";
import * as requests from "./pages/requests.js";

/** @typedef {{can_change: boolean, role: string, idle_minutes: number, version: string, user: string}} Session */
/**
 * What a screen is given.
 * @typedef {{params: Record<string, string>, session: Session, page: string, signal: AbortSignal,
 *   set: (patch: Record<string, any>) => void, link: (page: string, params?: Record<string, any>) => string,
 *   reload: () => Promise<void>, place: HTMLElement}} Context
 */

const PAGES = /** @type {Record<string, any>} */ ({ overview, keys, models, requests, playground });
const app = /** @type {HTMLElement} */ (document.getElementById("app"));
/** @type {Session | null} */
let session = null;
/** @type {AbortController} */
let reading = new AbortController();
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
/** @type {any} */
let leave = null;
let shownPage = "";
let lastUse = Date.now();
let reports = 0;

// Counts what the policy of the page refused; a test reads it.
document.addEventListener("securitypolicyviolation", (event) => {
  reports += 1;
  app.dataset.reports = String(reports);
  console.error("refused by the policy of the page:", event.violatedDirective, event.blockedURI);
});

api.onSignedOut((reason) => {
  session = null;
  reading.abort();
  leavePage();
  document.querySelectorAll("dialog").forEach((box) => box.remove());
  showSignIn(reason);
});

function leavePage() {
  clearTimeout(timer);
  leave?.();
  leave = null;
  shownPage = "";
}

/** @param {string} [reason] */
function showSignIn(reason) {
  document.title = "Sign in · Outcrop console";
  const secret = /** @type {HTMLInputElement} */ (h("input", { type: "password", name: "key", autocomplete: "off", required: true, spellcheck: "false", }));
  const keep = /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", name: "keep" }));
  const told = h("p", { class: "bad", role: "alert" }, reason);
  const form = h("form", { class: "sign-in", onsubmit: async (/** @type {Event} */ event) => {
    event.preventDefault();
    const text = secret.value.trim();
    if (!text) return;
    replace(told);
    api.signIn(text, keep.checked);
    secret.value = "";
    try {
      await begin();
    } catch (error) {
      const refused = /** @type {api.ApiError} */ (error);
      if (api.isSignedIn()) api.signOut("");
      const texts = /** @type {Record<number, string>} */ ({
        401: "This key is not known here.", 403: "This key may not use the console.",
        429: "Too many wrong keys from this address. Wait a minute.",
      });
      replace(/** @type {HTMLElement} */ (app.querySelector("[role=alert]")), texts[refused.status] ?? refused.message);
    }
  } },
  h("h1", null, h("img", { src: "favicon.svg", alt: "", width: 28, height: 28 }), "Outcrop console"),
  h("label", { class: "field" }, h("span", null, "Key"), secret,
    h("small", null, "The master key, the read-only key, or a key that manages keys. It stays in this tab.")),
  h("label", { class: "check" }, keep, "Keep in this tab until it is closed"),
  h("button", { type: "submit", class: "primary" }, "Sign in"), told);
  replace(app, h("main", { class: "alone", id: "main" }, form));
  secret.focus();
}

async function begin() {
  session = await api.get("/outcrop/session");
  lastUse = Date.now();
  showFrame();
  await show();
}

function showFrame() {
  const links = SCREENS.map(([page, name, letter]) =>
    h("li", null, h("a", { href: hashOf(page, {}), "data-page": page, title: `g ${letter}` }, name)));
  replace(app,
    button("Skip to the content", () => document.getElementById("main")?.focus(), { class: "skip" }),
    h("header", { class: "rail" },
      h("a", { class: "brand", href: "#/overview" }, h("img", { src: "favicon.svg", alt: "", width: 22, height: 22 }), "Outcrop"),
      h("nav", { "aria-label": "Screens" }, h("ul", null, links)),
      h("div", { class: "who" },
        h("span", { title: `version ${session?.version}` }, session?.can_change ? session.role : `${session?.role}, read-only`),
        button("Theme", switchTheme, { class: "quiet", title: "Light, dark, or as the system has it" }),
        button("Help", help, { class: "quiet", title: "?" }),
        button("Sign out", () => api.signOut(""), { class: "quiet" }))),
    h("div", { class: "page" },
      h("div", { class: "bar", id: "bar", role: "toolbar", "aria-label": "Time shown" }),
      h("main", { id: "main", tabindex: "-1" })));
}

function switchTheme() {
  const order = ["", "light", "dark"];
  const next = order[(order.indexOf(document.documentElement.dataset.theme ?? "") + 1) % order.length];
  if (next) document.documentElement.dataset.theme = next;
  else delete document.documentElement.dataset.theme;
  say(`Theme: ${next || "as the system has it"}`);
}

function help() {
  dialog("Keyboard", () => [h("dl", { class: "pairs" }, HELP.map(([keys, text]) => [h("dt", null, h("kbd", null, keys)), h("dd", null, text)]))]);
}

/** @param {Record<string, any>} patch */
function set(patch) {
  const { page, params } = readHash(location.hash);
  location.hash = hashOf(page, { ...params, ...patch });
}

/** Time, zone and refresh of the screens that have them. @param {Record<string, string>} params @param {any} page */
function showBar(params, page) {
  const bar = /** @type {HTMLElement} */ (document.getElementById("bar"));
  if (!page.TIMED && !page.REFRESHED) return replace(bar);
  const zone = zoneOf(params);
  const zones = [...new Set([OWN_ZONE, "UTC", zone])];
  const days = params.range === "custom" && ["from", "to"].map((name) => h("input", {
    type: "date", "aria-label": name === "from" ? "First day" : "Last day", value: (params[name] ?? "").slice(0, 10),
    onchange: (/** @type {Event} */ event) => set({ [name]: /** @type {HTMLInputElement} */ (event.target).value }),
  }));
  const zoneInput = select("Time zone", [...zones.map((name) => /** @type {[string, string]} */ ([name, name])), ["other", "Other zone…"]], zone, (value) => {
    if (value === "other") askZone();
    else set({ tz: value });
  });
  replace(bar,
    page.TIMED && [select("Time shown", RANGES, params.range ?? "24h", (range) => set({ range, from: null, to: null })), days || null, zoneInput],
    h("span", { class: "stretch" }),
    h("span", { id: "as-of", class: "quiet" }),
    select("Read again", [["", "no refresh"], ["10", "every 10 s"], ["60", "every 60 s"]], params.refresh ?? "", (refresh) => set({ refresh })),
    button("Refresh", () => read(true), { title: "r" }));
}

function askZone() {
  const name = prompt("Time zone, such as Asia/Kathmandu", OWN_ZONE);
  if (name) set({ tz: name.trim() });
  else void show();
}

async function show() {
  if (!session) return;
  const { page } = readHash(location.hash);
  if (!PAGES[page]) {
    location.replace("#/overview");
    return;
  }
  if (shownPage !== page) {
    leavePage();
    shownPage = page;
    const main = /** @type {HTMLElement} */ (document.getElementById("main"));
    replace(main);
    main.className = page;
  }
  document.querySelectorAll(".rail a[data-page]").forEach((link) => {
    const is = /** @type {HTMLElement} */ (link).dataset.page === page;
    if (is) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    // Links between screens keep the time.
    const { params } = readHash(location.hash);
    link.setAttribute("href", hashOf(/** @type {string} */ (/** @type {HTMLElement} */ (link).dataset.page), kept(params)));
  });
  const name = SCREENS.find(([id]) => id === page)?.[1];
  document.title = `${name} · Outcrop console`;
  await read(false);
}

/** Reads what the screen shows. @param {boolean} again */
async function read(again) {
  clearTimeout(timer);
  reading.abort();
  reading = new AbortController();
  const mine = reading;
  const { page, params } = readHash(location.hash);
  const shown = PAGES[page];
  const place = /** @type {HTMLElement} */ (document.getElementById("main"));
  showBar(params, shown);
  place.setAttribute("aria-busy", "true");
  try {
    const left = await shown.show(/** @type {Context} */ ({
      params, session, page, signal: mine.signal, set, place, reload: () => read(true),
      link: (to, more = {}) => hashOf(to, { ...kept(params), ...more }),
    }));
    if (typeof left === "function") leave = left;
    if (mine.signal.aborted) return;
    const at = document.getElementById("as-of");
    if (at) replace(at, `as of ${moment(new Date().toISOString(), zoneOf(params)).slice(-8)}`);
    if (again && shown.TIMED) at?.setAttribute("aria-live", "polite");
  } catch (error) {
    if (mine.signal.aborted || !session) return;
    showFailure(place, /** @type {Error} */ (error));
  } finally {
    if (!mine.signal.aborted) {
      place.removeAttribute("aria-busy");
      place.dataset.shown = page;
      // Counts what was shown; a test waits for it.
      app.dataset.shows = String(Number(app.dataset.shows ?? 0) + 1);
    }
  }
  if (!mine.signal.aborted) plan(params, shown);
}

/** What was shown stays, with a banner above it. @param {HTMLElement} place @param {Error} error */
function showFailure(place, error) {
  place.querySelector(".banner.failure")?.remove();
  const banner = h("div", { class: "banner failure bad", role: "alert" },
    h("strong", null, "Not read: "), error.message, " ", place.childElementCount > 0 && "What is below is older.",
    button("Try again", () => void read(true)));
  place.prepend(banner);
  if (!(error instanceof api.ApiError)) console.error(error);
}

/** @param {Record<string, string>} params @param {any} shown */
function plan(params, shown) {
  const seconds = Number(params.refresh);
  if (!seconds || !(shown.TIMED || shown.REFRESHED)) return;
  timer = setTimeout(function again() {
    // A hidden tab asks for nothing.
    if (document.hidden) timer = setTimeout(again, 1000);
    else void read(true);
  }, seconds * 1000);
}

let prefix = "";
document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if (!session || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (target.matches("input, textarea, select")) return;
  if (prefix === "g") {
    prefix = "";
    const found = SCREENS.find(([, , letter]) => letter === event.key);
    if (found) location.hash = hashOf(found[0], kept(readHash(location.hash).params));
    return;
  }
  if (event.key === "g") {
    prefix = "g";
    setTimeout(() => { prefix = ""; }, 1500);
  } else if (event.key === "?") help();
  else if (event.key === "r") void read(true);
  else if (event.key === "/") {
    event.preventDefault();
    /** @type {HTMLElement | null} */ (document.querySelector("main [data-filter]"))?.focus();
  }
});

for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, () => { lastUse = Date.now(); }, { passive: true });
setInterval(() => {
  if (session && Date.now() - lastUse > session.idle_minutes * 60_000) api.signOut("Signed out after a while without use.");
}, 5000);
window.addEventListener("hashchange", () => void show());

if (api.restore()) begin().catch(() => { if (api.isSignedIn()) api.signOut("The key of this tab is no longer accepted."); });
else showSignIn();
