// Reads an answer to assistive technology sentence by sentence. The drawn answer is no live region itself: it is
// redrawn while it grows, and would be read from the start again and again.

import { byId, make } from "./dom.js";

const SENTENCE = /^[\s\S]*?[.!?:](?:\s*\[\d{1,3}\])*\s+(?=\S)|^[\s\S]*?\n+/;

export class Announcer {
  #region = byId("announcer");
  #rest = "";

  #say(text) {
    this.#region.append(make("p", {}, text.replace(/[*`#]/g, "").trim()));
  }

  start() {
    this.#rest = "";
    this.#region.replaceChildren();
    this.#say("Answering.");
  }

  add(text) {
    this.#rest += text;
    for (let match; (match = SENTENCE.exec(this.#rest)); this.#rest = this.#rest.slice(match[0].length)) this.#say(match[0]);
  }

  end(text) {
    if (this.#rest.trim()) this.#say(this.#rest);
    this.#rest = "";
    this.#say(text);
  }
}
