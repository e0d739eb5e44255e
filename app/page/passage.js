// Shows the passage behind a citation.

import { byId, make } from "./dom.js";
import { Panel } from "./panel.js";
import { quotations } from "./quote.js";

const panel = new Panel(byId("passage"));

/** The passage's address where a browser may follow it; documents can carry any text as their url. */
function link(url) {
  if (!/^(https?:\/\/|\/)/i.test(url)) return null;
  return new URL(url, document.baseURI).href;
}

/** The text with what the answer quotes of it marked. */
function marked(text, runs) {
  const nodes = [];
  let begin = 0;
  for (const [start, end] of runs) {
    nodes.push(text.slice(begin, start), make("mark", {}, text.slice(start, end)));
    begin = end;
  }
  return [...nodes, text.slice(begin)];
}

/** Open `passage`, cited as [number] by `answer`. */
export function showPassage(passage, number, answer) {
  const address = link(passage.url);
  // A document's first heading is often its title, which stands above already.
  const headings = passage.headings[0] === passage.title ? passage.headings.slice(1) : passage.headings;
  byId("passage-number").textContent = `Source ${number}`;
  byId("passage-title").textContent = passage.title || passage.document_id;
  byId("passage-path").textContent = headings.join(" › ");
  byId("passage-score").textContent = `Score ${passage.score.toFixed(3)}`;
  const anchor = byId("passage-link");
  anchor.hidden = !address;
  if (address) anchor.href = address;
  const box = byId("passage-text");
  box.replaceChildren(...marked(passage.text, quotations(passage.text, answer, number)));
  panel.open();
  box.scrollTop = 0;
  box.querySelector("mark")?.scrollIntoView({ block: "nearest" });
}

/** Close the passage, where one is open. */
export const hidePassage = () => panel.isOpen && panel.close();
