// The conversation: what was asked and answered, and the one request that may be under way.

import { complete } from "./api.js";
import { Announcer } from "./announcer.js";
import { byId, count } from "./dom.js";
import { Turn } from "./turn.js";

const MAX_HISTORY = 10;

/** Groups a conversation's traces. crypto.randomUUID is missing on plain http. */
const newSession = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export class Chat {
  #turns = [];
  #session = newSession();
  #request = null;
  #announcer = new Announcer();
  #onChange;

  /** `model()` resolves to the model to ask; `onChange(busy)` hears of every beginning and end. */
  constructor(model, onChange) {
    this.model = model;
    this.#onChange = onChange;
  }

  get busy() {
    return this.#request !== null;
  }

  /** The conversation as the API wants it. Markers are left out: their numbers belong to other passages. */
  #messages(question) {
    const past = this.#turns.filter((turn) => turn.kept).slice(-MAX_HISTORY);
    return [
      ...past.flatMap(({ question, text }) => [
        { role: "user", content: question },
        { role: "assistant", content: text.replace(/\s*\[\d{1,3}\]/g, "") },
      ]),
      { role: "user", content: question },
    ];
  }

  /** Ask, and draw the answer as it comes. */
  async ask(question) {
    if (this.busy) return;
    const messages = this.#messages(question);
    const turn = new Turn(byId("conversation"), question);
    this.#turns.push(turn);
    const request = (this.#request = new AbortController());
    this.#onChange(true);
    this.#announcer.start();
    turn.element.scrollIntoView({ block: "start" });
    try {
      const body = { model: await this.model(), messages, raglan: { session_id: this.#session } };
      await this.#receive(turn, complete(body, request.signal));
    } catch (error) {
      this.#broke(turn, error);
    }
    if (this.#request === request) {
      this.#request = null;
      this.#onChange(false);
    }
  }

  async #receive(turn, chunks) {
    const begin = performance.now();
    const since = () => performance.now() - begin;
    const last = {};
    let first = null;
    let reason = "stop";
    for await (const chunk of chunks) {
      const [choice] = chunk.choices;
      if (choice?.delta.content) {
        first ??= since();
        turn.add(choice.delta.content);
        this.#announcer.add(choice.delta.content);
      }
      reason = choice?.finish_reason ?? reason;
      if (chunk.usage) last.usage = chunk.usage;
      if (chunk.raglan?.timings) last.raglan = chunk.raglan;
    }
    // What a guardrail refused once would get every later question refused too.
    turn.kept = reason !== "content_filter" && turn.text !== "";
    turn.finish(reason, last.raglan, last.usage, { first: first ?? since(), total: since() });
    this.#announcer.end(`Answer complete, ${count(last.raglan.passages.length, "passage")} read.`);
  }

  #broke(turn, error) {
    if (error.name === "AbortError") {
      turn.kept = turn.text !== "";
      turn.stop();
      this.#announcer.end("Stopped.");
      return;
    }
    const wait = error.retryAfter ? ` Try again in ${count(error.retryAfter, "second")}.` : "";
    turn.fail(error.message + wait, () => this.#retry(turn));
  }

  #retry(turn) {
    if (this.busy) return;
    turn.remove();
    this.#turns = this.#turns.filter((other) => other !== turn);
    this.ask(turn.question);
  }

  stop() {
    this.#request?.abort();
  }

  /** Forget everything and begin anew. */
  clear() {
    this.stop();
    for (const turn of this.#turns) turn.remove();
    this.#turns = [];
    this.#session = newSession();
  }
}
