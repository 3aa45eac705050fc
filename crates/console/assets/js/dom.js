// Elements without markup: all text is set as text, so that model output and names of callers are never read as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** A text, an element, a list of them, or none. @typedef {any} Child */

/**
 * Makes an element. `on...` attributes are listeners, true is an empty attribute, false and null are none.
 * @param {string} tag @param {Record<string, any> | null} [attributes] @param {...Child} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes, ...children) {
  return /** @type {HTMLElement} */ (fill(document.createElement(tag), attributes, children));
}

/** The same for pictures. @param {string} tag @param {Record<string, any> | null} [attributes] @param {...Child} children */
export function svg(tag, attributes, ...children) {
  return /** @type {SVGElement} */ (fill(document.createElementNS(SVG, tag), attributes, children));
}

/** @param {Element} element @param {Record<string, any> | null | undefined} attributes @param {Child[]} children */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") /** @type {any} */ (element).value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/** @param {Element} element @param {Child[]} children */
export function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** @param {Element} element @param {...Child} children */
export function replace(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/** @param {string} label @param {() => void} act @param {Record<string, any>} [attributes] */
export function button(label, act, attributes) {
  return h("button", { type: "button", onclick: act, ...attributes }, label);
}

/**
 * A table. Columns are [name, cell of a row, options]; rows may be chosen by click or key.
 * @param {{caption: string, columns: Column[], rows: any[], sort?: Sort, empty?: Child, foot?: Child[], compact?: boolean}} table
 */
export function table({ caption, columns, rows, sort, empty, foot, compact }) {
  const head = columns.map((column) => {
    const number = column.number ? "number" : null;
    if (!sort || !column.sort) return h("th", { scope: "col", class: number }, column.name);
    const is = sort.by === column.sort;
    const order = is ? (sort.ascending ? "ascending" : "descending") : "none";
    const mark = is ? (sort.ascending ? " ▲" : " ▼") : "";
    const flip = () => sort.set(/** @type {string} */ (column.sort), is ? !sort.ascending : false);
    return h("th", { scope: "col", class: number, "aria-sort": order },
      h("button", { type: "button", class: "sort", onclick: flip }, column.name, h("span", { "aria-hidden": "true" }, mark)));
  });
  const body = rows.map((row) => h("tr", null, columns.map((column, at) => {
    const options = { class: [column.number ? "number" : "", column.kind ?? ""].join(" ").trim() || null };
    return at === 0
      ? h("th", { scope: "row", ...options }, column.cell(row))
      : h("td", options, column.cell(row));
  })));
  const parts = h("table", { class: compact ? "compact" : null },
    h("caption", null, caption), h("thead", null, h("tr", null, head)), h("tbody", null, body),
    foot && rows.length > 0 && h("tfoot", null, h("tr", null, foot.map((cell, at) =>
      h(at === 0 ? "th" : "td", { scope: at === 0 ? "row" : null, class: columns[at]?.number ? "number" : null }, cell)))));
  // A region that scrolls is reached by the keyboard.
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    parts, rows.length === 0 && h("div", { class: "empty" }, empty ?? "Nothing here."));
}

/** @typedef {{name: string, cell: (row: any) => Child, number?: boolean, sort?: string, kind?: string}} Column */
/** @typedef {{by: string, ascending: boolean, set: (by: string, ascending: boolean) => void}} Sort */

/**
 * Opens a dialog; the focus returns when it closes. One that must be answered does not close by Escape.
 * @param {string} title @param {(close: () => void) => Child[]} content @param {{must?: boolean, wide?: boolean, onclose?: () => void}} [options]
 */
export function dialog(title, content, options = {}) {
  const before = /** @type {HTMLElement | null} */ (document.activeElement);
  const box = /** @type {HTMLDialogElement} */ (document.createElement("dialog"));
  if (options.wide) box.classList.add("wide");
  const close = () => box.close();
  box.setAttribute("aria-label", title);
  box.addEventListener("cancel", (event) => { if (options.must) event.preventDefault(); });
  // Chromium closes at the second Escape whatever `cancel` says.
  box.addEventListener("keydown", (event) => { if (options.must && event.key === "Escape") event.preventDefault(); });
  box.addEventListener("close", () => {
    box.remove();
    before?.focus?.();
    options.onclose?.();
  });
  append(box, [
    h("header", null, h("h2", null, title),
      !options.must && button("Close", close, { class: "quiet", "aria-label": "Close the dialog" })),
    ...content(close),
  ]);
  document.body.append(box);
  box.showModal();
  return { close, box };
}

/** A labelled field. @param {string} label @param {HTMLElement} control @param {Child} [hint] */
export function field(label, control, hint) {
  return h("label", { class: "field" }, h("span", null, label), control, hint && h("small", null, hint));
}

/** A list of choices. @param {string} name @param {[string, string][]} choices @param {string} chosen @param {(value: string) => void} set @param {Record<string, any>} [attributes] */
export function select(name, choices, chosen, set, attributes) {
  const list = /** @type {HTMLSelectElement} */ (h("select", {
    "aria-label": name, onchange: (/** @type {Event} */ event) => set(/** @type {HTMLSelectElement} */ (event.target).value), ...attributes,
  }, choices.map(([value, label]) => h("option", { value, selected: value === chosen }, label))));
  return list;
}

/** Says something to readers of the screen, and shows it for a while. @param {string} text @param {"fine" | "bad"} [kind] */
export function say(text, kind = "fine") {
  let place = document.getElementById("says");
  if (!place) {
    place = h("div", { id: "says", role: "status", "aria-live": "polite" });
    document.body.append(place);
  }
  // Above dialogs, which are in the top layer.
  const top = [...document.querySelectorAll("dialog[open]")].pop() ?? document.body;
  if (place.parentElement !== top) top.append(place);
  const line = h("p", { class: kind }, text);
  replace(place, line);
  setTimeout(() => line.remove(), 6000);
}
