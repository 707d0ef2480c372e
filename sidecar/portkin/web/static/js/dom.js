// Elements without HTML: whatever comes from the network becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** The element of that id. */
export const by = (id) => document.getElementById(id);

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined).map((child) => child instanceof Node ? child : String(child)));
  return made;
}

/** A new HTML element with attributes, listeners ("onclick") and children; text becomes text. */
export const el = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);

/** A new SVG element, likewise. */
export const svg = (name, attributes = {}, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

/** Set an element's text, if it is another. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Show a text in an element, or hide it where there is none. */
export function sayOrHide(element, text) {
  say(element, text || "");
  element.hidden = !text;
}

/** Shows the first of many rows, and all of them when asked to. */
export class Short {
  constructor(rows, first, button) {
    this.rows = rows;
    this.first = first;
    this.button = button;
    this.all = false;
    button.addEventListener("click", () => { this.all = !this.all; this.show(...this.latest); });
  }

  show(items, salt = "") {
    this.latest = [items, salt];
    const first = innerWidth <= 720 ? Math.ceil(this.first / 2) : this.first;
    this.rows.show(this.all ? items : items.slice(0, first), salt);
    this.button.hidden = items.length <= first;
    say(this.button, this.all ? "Show fewer" : `Show all ${items.length}`);
    this.button.setAttribute("aria-expanded", String(this.all));
  }
}

/** Keeps a list of elements in step with items: only what changed is recreated, so that focus and selection stay. */
export class Rows {
  /** `make` returns the element of an item, `key` a text that names it. */
  constructor(parent, key, make) {
    this.parent = parent;
    this.key = key;
    this.make = make;
    this.kept = new Map();
  }

  show(items, salt = "") {
    const shown = new Map();
    let place = this.parent.firstElementChild;
    for (const item of items) {
      const key = this.key(item);
      const state = salt + JSON.stringify(item);
      let row = this.kept.get(key);
      if (!row || row.state !== state) {
        const fresh = { state, element: this.make(item) };
        if (row) {
          if (place === row.element) place = fresh.element;
          replace(row.element, fresh.element);
        }
        row = fresh;
      }
      shown.set(key, row);
      if (row.element === place) place = place.nextElementSibling;
      else this.parent.insertBefore(row.element, place);
    }
    for (const [key, row] of this.kept) if (!shown.has(key)) row.element.remove();
    this.kept = shown;
  }
}

/** Put an element in the place of another; where that has the focus, the control of the same name gets it. */
function replace(before, after) {
  const focused = before.contains(document.activeElement) ? document.activeElement.getAttribute("data-name") : null;
  before.replaceWith(after);
  if (focused === null) return;
  const again = [...after.querySelectorAll("[data-name]")].find((each) => each.getAttribute("data-name") === focused);
  if (again) again.focus({ preventScroll: true });
}
