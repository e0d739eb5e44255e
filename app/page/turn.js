// One question and its answer on the page: draws what it is told, and knows nothing of requests.

import { feedbackButtons } from "./feedback.js";
import { hidden, make } from "./dom.js";
import { Markdown } from "./markdown.js";
import { showPassage } from "./passage.js";
import { timingsLine } from "./timings.js";

const ENDINGS = {
  length: "The answer was cut at the token limit.",
  content_filter: "A guardrail stopped this answer.",
  stopped: "You stopped this answer.",
};

/** A turn, appended to `parent`. */
export class Turn {
  #text = "";
  #passages = [];
  #frame = 0;

  constructor(parent, question) {
    this.question = question;
    this.body = make("div", { class: "body" });
    this.answer = make("div", { class: "answer", "aria-busy": "true" }, make("p", { class: "waiting" }, hidden("Waiting for the answer")));
    this.markdown = new Markdown(this.body);
    this.element = make("article", { class: "turn" }, make("h2", { class: "question" }, question), this.answer);
    parent.append(this.element);
  }

  get text() {
    return this.#text;
  }

  /** Add text; drawn once a frame, however many chunks arrive. */
  add(text) {
    if (!this.#text) this.answer.replaceChildren(this.body);
    this.#text += text;
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.markdown.draw(this.#text, (n) => make("span", { class: "cite pending" }, String(n)));
    });
  }

  #settle() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.answer.setAttribute("aria-busy", "false");
    this.answer.replaceChildren(this.body);
    this.markdown.draw(this.#text, (n) => this.#citation(n), true);
  }

  #passage(number) {
    return this.#passages.find(({ n }) => n === number);
  }

  #citation(number) {
    const passage = this.#passage(number);
    if (!passage) return null;
    const name = `Source ${number}: ${passage.title || passage.document_id}`;
    const show = () => showPassage(passage, number, this.#text);
    const marker = { class: "cite", type: "button", "aria-label": name, title: name, "aria-haspopup": "dialog", onclick: show };
    return make("button", marker, String(number));
  }

  /** The passages that the answer cites, as a list to open them from. */
  #sources() {
    const cited = [...new Set([...this.#text.matchAll(/\[(\d{1,3})\]/g)].map((match) => Number(match[1])))];
    const items = cited.filter((n) => this.#passage(n)).map((n) => {
      const passage = this.#passage(n);
      const show = () => showPassage(passage, n, this.#text);
      const heading = passage.headings.at(-1);
      return make("li", {}, make("button", { class: "source", type: "button", "aria-haspopup": "dialog", onclick: show },
        make("span", { class: "number" }, String(n)),
        make("span", { class: "title" }, passage.title || passage.document_id),
        heading && heading !== passage.title ? make("span", { class: "heading" }, heading) : null));
    });
    return items.length ? make("ol", { class: "sources", "aria-label": "Sources" }, ...items) : null;
  }

  /** The answer is complete: `raglan` holds its passages, timings and trace. */
  finish(reason, raglan, usage, seen) {
    this.#passages = raglan.passages;
    this.#settle();
    const foot = make("div", { class: "foot" }, timingsLine(raglan, usage, seen), feedbackButtons(raglan.trace_id));
    const ending = ENDINGS[reason] && make("p", { class: "ending" }, ENDINGS[reason]);
    this.answer.append(...[ending, this.#sources(), foot].filter((node) => node));
  }

  /** The person stopped the answer: what came stays. */
  stop() {
    this.#settle();
    this.answer.append(make("p", { class: "ending" }, ENDINGS.stopped));
  }

  /** The answer failed: what came stays, and `retry` is offered. */
  fail(message, retry) {
    this.#settle();
    const again = make("button", { class: "quiet", type: "button", onclick: retry }, "Try again");
    this.answer.append(make("div", { class: "notice", role: "alert" }, make("p", {}, message), again));
  }

  remove() {
    this.element.remove();
  }
}
