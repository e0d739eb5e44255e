// The conversation: what was asked and answered, and the one request that may be under way.

import { complete } from "./api.js";
import { Announcer } from "./announcer.js";
import { byId, count } from "./dom.js";
import { Turn } from "./turn.js";

const MAX_HISTORY = 10;

/** Groups a conversation's traces. crypto.randomUUID is missing on plain http. */
const newSession = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** The conversation as the API wants it. Markers are left out: their numbers belong to other passages. */
const messages = (past, question) => [
  ...past.flatMap((turn) => [
    { role: "user", content: turn.question },
    { role: "assistant", content: turn.text.replace(/\s*\[\d{1,3}\]/g, "") },
  ]),
  { role: "user", content: question },
];

/** An error as a sentence for the person who asked. */
function explain({ message, status, code, retryAfter }) {
  const wait = retryAfter ? ` Try again in ${count(retryAfter, "second")}.` : "";
  if (status === 429 || status === 503) return `The server is busy just now.${wait}`;
  // An error with a code but no status came in the middle of the stream.
  if (status >= 500 || (code && !status)) return `The answer could not be completed (${message}).${wait}`;
  return message[0].toUpperCase() + message.slice(1) + (/[.!?]$/.test(message) ? "" : ".");
}

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

  /** Ask, and draw the answer as it comes. */
  async ask(question) {
    if (this.busy) return;
    const past = this.#turns.filter((turn) => turn.kept).slice(-MAX_HISTORY);
    const turn = new Turn(byId("conversation"), question);
    this.#turns.push(turn);
    const request = (this.#request = new AbortController());
    this.#onChange(true);
    this.#announcer.start();
    turn.element.scrollIntoView({ block: "start" });
    try {
      await this.#converse(turn, past, request.signal);
    } catch (error) {
      this.#broke(turn, error);
    }
    if (this.#request === request) {
      this.#request = null;
      this.#onChange(false);
    }
  }

  /** Ask with what went before; where that does not fit the model, with its later half. */
  async #converse(turn, past, signal) {
    const body = { model: await this.model(), messages: messages(past, turn.question), raglan: { session_id: this.#session } };
    try {
      await this.#receive(turn, complete(body, signal));
    } catch (error) {
      if (error.code !== "context_length_exceeded" || !past.length) throw error;
      await this.#converse(turn, past.slice(Math.ceil(past.length / 2)), signal);
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
    turn.fail(explain(error), () => this.#retry(turn));
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
