// A small, safe part of Markdown: paragraphs, headings, lists, quotes, code, bold, emphasis, and [n] citations.
// It makes nodes, never HTML.

import { make } from "./dom.js";

const FENCE = /^\s*(```|~~~)/;
const ITEM = /^\s*(?:([-*+])|\d{1,9}[.)])\s+(.*)$/;
const HEADING = /^#{1,6}\s+(.*)$/;
const QUOTE = /^>\s?(.*)$/;
const INLINE = /(`+)(.+?)\1|\*\*(.+?)\*\*|\*([^\s*](?:[^*]*[^\s*])?)\*|\[(\d{1,3})\]/gs;

const kindOf = (line) =>
  FENCE.test(line) ? "code" : HEADING.test(line) ? "heading" : QUOTE.test(line) ? "quote" : ITEM.test(line) ? "list" : "text";

/** Split text into blocks of one kind, each with its source, so that a stream redraws only its last block. */
function blocks(text) {
  const found = [];
  let open = null;
  for (const line of text.split("\n")) {
    if (open?.kind === "code") {
      open.lines.push(line);
      if (FENCE.test(line)) open = null;
      continue;
    }
    if (!line.trim()) {
      open = null;
      continue;
    }
    const kind = kindOf(line);
    const continues = open && kind !== "code" && kind !== "heading" && (kind === open.kind || (kind === "text" && open.kind === "list"));
    if (!continues) found.push((open = { kind, lines: [] }));
    open.lines.push(line);
    if (kind === "heading") open = null;
  }
  return found.map(({ kind, lines }) => ({ kind, lines, source: `${kind}\n${lines.join("\n")}` }));
}

/** Text and the citation behind it, which no line break may part from its last word. */
function held(before, cite) {
  const [, start, word] = /^(.*?)(\S{0,24})\s?$/s.exec(before);
  return word ? [start, make("span", { class: "held" }, `${word}\u00a0`, cite)] : [before, cite];
}

/** Nodes of a stretch of text; `cite(n)` makes the node of a citation, or null to leave the marker as it is. */
function inline(text, cite) {
  const nodes = [];
  let begin = 0;
  for (const match of text.matchAll(INLINE)) {
    const [whole, , code, bold, emphasis, number] = match;
    const node =
      code !== undefined ? make("code", {}, code.trim())
      : bold !== undefined ? make("strong", {}, ...inline(bold, cite))
      : emphasis !== undefined ? make("em", {}, ...inline(emphasis, cite))
      : cite(Number(number));
    if (!node) continue;
    const before = text.slice(begin, match.index);
    nodes.push(...(number === undefined ? [before, node] : held(before, node)));
    begin = match.index + whole.length;
  }
  return [...nodes, text.slice(begin)].filter((node) => node !== "");
}

function list(lines, cite) {
  const items = [];
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (item) items.push(item[2]);
    else items[items.length - 1] += ` ${line.trim()}`;
  }
  const ordered = !ITEM.exec(lines[0])[1];
  return make(ordered ? "ol" : "ul", {}, ...items.map((item) => make("li", {}, ...inline(item, cite))));
}

function node({ kind, lines }, cite) {
  if (kind === "code") {
    const closed = lines.length > 1 && FENCE.test(lines.at(-1));
    return make("pre", { tabindex: "0" }, make("code", {}, lines.slice(1, closed ? -1 : undefined).join("\n")));
  }
  if (kind === "list") return list(lines, cite);
  if (kind === "quote") return make("blockquote", {}, ...inline(lines.map((line) => QUOTE.exec(line)[1]).join(" "), cite));
  // The page's own headings stand above an answer's, whatever level the model chose.
  if (kind === "heading") return make("h3", {}, ...inline(HEADING.exec(lines[0])[1], cite));
  return make("p", {}, ...inline(lines.join("\n"), cite));
}

/** Draws growing text into `box`; blocks that did not change keep their nodes, so a selection in them survives. */
export class Markdown {
  #box;
  #drawn = [];

  constructor(box) {
    this.#box = box;
  }

  draw(text, cite, redraw = false) {
    const wanted = blocks(text);
    const keep = redraw ? 0 : this.#drawn.findIndex((source, i) => source !== wanted[i]?.source);
    const from = keep < 0 ? this.#drawn.length : keep;
    while (this.#box.childNodes.length > from) this.#box.lastChild.remove();
    this.#box.append(...wanted.slice(from).map((block) => node(block, cite)));
    this.#drawn = wanted.map((block) => block.source);
  }
}
