// Builds elements. Text always goes in as text nodes, so nothing a model or a document says can become markup.

const SVG = "http://www.w3.org/2000/svg";
const SPRITE = new URL("./icons.svg", import.meta.url).href;

/** The element with this id; the page's own markup guarantees it. */
export const byId = (id) => document.getElementById(id);

/** An element with attributes, `on...` listeners, and children (nodes or text). */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** An icon of the sprite, invisible to assistive technology. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${SPRITE}#${name}`);
  svg.append(use);
  return svg;
}

/** Words for assistive technology only. */
export const hidden = (text) => make("span", { class: "sr" }, text);

/** "1 passage", "4 passages". */
export const count = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
