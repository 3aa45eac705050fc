// Requests to the gateway. The key is in this module alone, and in the tab's session storage if the operator asks for it.

const KEPT = "outcrop.key";
/** Addresses of the gateway: the folder above the console's. */
export const BASE = new URL("../", document.baseURI);

/** @type {string | null} */
let key = null;
/** @type {(reason: string) => void} */
let whenSignedOut = () => {};

/** A refusal of the gateway. */
export class ApiError extends Error {
  /** @param {number} status @param {any} body */
  constructor(status, body) {
    const error = body?.error ?? {};
    super(error.message ?? `The gateway answered ${status}.`);
    this.status = status;
    this.code = error.code ?? null;
    this.param = error.param ?? null;
  }
}

/** @param {(reason: string) => void} act */
export function onSignedOut(act) {
  whenSignedOut = act;
}

/** The key of an earlier load of this tab, if it was kept. */
export function restore() {
  key = sessionStorage.getItem(KEPT);
  return key !== null;
}

/** @param {string} text @param {boolean} keep */
export function signIn(text, keep) {
  key = text;
  if (keep) sessionStorage.setItem(KEPT, text);
}

/** @param {string} reason */
export function signOut(reason) {
  key = null;
  sessionStorage.removeItem(KEPT);
  whenSignedOut(reason);
}

export function isSignedIn() {
  return key !== null;
}

/** @param {string} path @param {Record<string, any>} [query] */
export function address(path, query = {}) {
  const url = new URL(path.replace(/^\//, ""), BASE);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, String(value));
  }
  return url;
}

/** @param {string} method @param {string} path @param {{query?: Record<string, any>, body?: any, signal?: AbortSignal}} [options] */
async function send(method, path, { query, body, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = { authorization: `Bearer ${key}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(address(path, query), {
      method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, { error: { message: "The gateway cannot be reached." } });
  }
  if (response.ok) return response;
  const told = new ApiError(response.status, await response.json().catch(() => null));
  if (response.status === 401 && key !== null) signOut("The gateway no longer accepts the key. Sign in again.");
  throw told;
}

/** @param {string} path @param {Record<string, any>} [query] @param {AbortSignal} [signal] @returns {Promise<any>} */
export async function get(path, query, signal) {
  return (await send("GET", path, { query, signal })).json();
}

/** @param {string} path @param {any} body @returns {Promise<any>} */
export async function post(path, body) {
  return (await send("POST", path, { body })).json();
}

/** Saves an answer as a file; whether it was cut. @param {string} path @param {Record<string, any>} query @param {string} name */
export async function download(path, query, name) {
  const response = await send("GET", path, { query });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  return response.headers.get("x-outcrop-truncated") === "true";
}
