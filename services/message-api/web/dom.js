// Small helpers to make elements. Nothing here, or anywhere in this client, turns text into markup.

/** An element by its id, which the page is known to have. */
export const byId = (id) => document.getElementById(id);

/**
 * Makes an element: `h("button", { class: "plain", onclick: close }, "Close")`. Attributes that are
 * false, null or undefined are left out; those that begin with `on` are listeners.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const PATHS = {
  attach: "M20 11.5l-7.8 7.8a5 5 0 0 1-7.1-7.1l8.5-8.5a3.3 3.3 0 0 1 4.7 4.7l-8.5 8.5a1.7 1.7 0 0 1-2.4-2.4l7.8-7.8",
  back: "M15 5l-7 7 7 7",
  bell: "M6 16v-5a6 6 0 0 1 12 0v5l2 2H4zM10 21h4",
  belloff: "M6 16v-5a6 6 0 0 1 12 0v5l2 2H4zM10 21h4M4 4l16 16",
  close: "M6 6l12 12M18 6L6 18",
  edit: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
  emoji: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M8.5 14.5a4.5 4.5 0 0 0 7 0M9 9.5v.5M15 9.5v.5",
  leave: "M14 4h5v16h-5M4 12h11M11 8l4 4-4 4",
  moon: "M20 14.5A8 8 0 1 1 9.5 4a6.5 6.5 0 0 0 10.500 10.500",
  plus: "M12 5v14M5 12h14",
  send: "M4 12l16-8-6 17-3-7zM11 14l9-10",
  sun: "M12 8a4 4 0 1 0 0 8a4 4 0 0 0 0-8M12 2v2M12 20v2M4 12H2M22 12h-2M5 5l1.500 1.500M17.500 17.500L19 19M5 19l1.500-1.500M17.500 6.500L19 5",
  auto: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M12 3v18M12 8h5.500M12 12h8M12 16h5.500",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10 11v6M14 11v6",
};

const SVG = "http://www.w3.org/2000/svg";

/** A line drawing, hidden from screen readers: its button has the label. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** How many colours people have; `style.css` says which. */
const HUES = 10;

/** Somebody's initial on their colour. */
export function avatar(name) {
  let hash = 0;
  for (const letter of name.toLowerCase()) hash = (hash * 31 + letter.codePointAt(0)) >>> 0;
  return h("span", { class: `avatar hue-${hash % HUES}`, "aria-hidden": "true" }, name.slice(0, 1).toUpperCase());
}

/** What can have the focus in a row. */
const FOCUSABLE = "a, button, input, [tabindex]";

/**
 * Makes `parent` have the given rows as children, in this order. A row is `{ key, version, make() }`; an element
 * that is there already under this key is kept as long as its version is the same. Whoever had the focus in
 * a row has it in what takes its place.
 */
export function reconcile(parent, rows) {
  const before = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const wanted = new Set(rows.map(({ key }) => key));
  const focused = focusIn(parent);
  for (const [key, element] of before) if (!wanted.has(key)) element.remove();
  let at = parent.firstElementChild;
  for (const { key, version, make } of rows) {
    let element = before.get(key);
    if (!element || element.dataset.version !== version) {
      const made = make();
      made.dataset.key = key;
      made.dataset.version = version;
      if (at === element) at = made;
      element?.replaceWith(made);
      element = made;
    }
    if (element === at) at = at.nextElementSibling;
    else parent.insertBefore(element, at);
  }
  if (focused && !focused.element.isConnected) {
    const row = [...parent.children].find(({ dataset }) => dataset.key === focused.key);
    row?.querySelectorAll(FOCUSABLE)[focused.at]?.focus({ preventScroll: true });
  } else if (focused && document.activeElement !== focused.element) {
    focused.element.focus({ preventScroll: true }); // It was moved.
  }
}

/** What has the focus in one of the rows: the element, the row's key, its place in the row. */
function focusIn(parent) {
  const element = document.activeElement;
  const row = [...parent.children].find((child) => child.contains(element));
  return row ? { element, key: row.dataset.key, at: [...row.querySelectorAll(FOCUSABLE)].indexOf(element) } : null;
}
