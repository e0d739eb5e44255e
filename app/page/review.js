// One flagged exchange: what was asked and answered, what the checks found, and the decision on it.

import { decide } from "./api.js";
import { count, icon, make } from "./dom.js";

const ACTIONS = { flag: "flagged", mask: "masked", block: "blocked", error: "check broke", drop: "dropped" };
const SIDES = { input: "question", passages: "passage", output: "answer" };
const CUT = { earlier: "earlier messages", passages: "sources", checks: "findings" };

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** Findings of one check on one side as one line: an answer is checked sentence by sentence. */
function findings(checks) {
  const groups = new Map();
  for (const check of checks) {
    const name = `${check.side} ${check.name} ${check.action}`;
    groups.set(name, [...(groups.get(name) ?? []), check]);
  }
  return make("ul", { class: "findings", "aria-label": "What was found" }, ...[...groups.values()].map((found) => {
    const [{ side, name, action, score }] = found;
    const details = [...new Set(found.map(({ detail }) => detail).filter((detail) => detail))].join(", ");
    const scored = found.length === 1 && score !== null ? Number(score.toFixed(2)) : null;
    const more = [details, scored, found.length > 1 ? count(found.length, "time") : null].filter((part) => part !== null && part !== "");
    return make("li", { class: action },
      make("span", { class: "verdict" }, `${SIDES[side] ?? side} ${ACTIONS[action] ?? action}`),
      make("span", { class: "check" }, name),
      more.length ? make("span", { class: "detail" }, more.join(" · ")) : null);
  }));
}

function earlier(messages) {
  if (!messages.length) return null;
  const items = messages.map(({ role, content }) => make("li", {}, make("span", { class: "role" }, role), make("p", {}, content)));
  return make("details", { class: "before" }, make("summary", {}, icon("chevron"), count(messages.length, "earlier message")), make("ol", {}, ...items));
}

function sources(passages) {
  if (!passages.length) return null;
  const items = passages.map(({ title, document_id }) => make("li", {}, title || document_id,
    title && title !== document_id ? make("span", { class: "detail" }, ` ${document_id}`) : null));
  return make("details", { class: "before" }, make("summary", {}, icon("chevron"), count(passages.length, "source")), make("ol", { class: "numbered" }, ...items));
}

/** The documents that the answer cites by [n]. */
function cited({ answer, passages }) {
  const numbers = [...answer.matchAll(/\[(\d{1,3})\]/g)].map((match) => Number(match[1]));
  return [...new Set(numbers.map((n) => passages[n - 1]?.document_id).filter((id) => id))];
}

function outcome({ decision, correction, pages, note, reviewer, time }) {
  const said = { approve: "Approved", correct: "Corrected", reject: "Rejected" }[decision];
  return make("div", { class: "outcome" },
    make("p", { class: "meta" }, `${said}${reviewer ? ` by ${reviewer}` : ""}, ${moment.format(new Date(time))}`),
    correction ? make("p", { class: "text" }, correction) : null,
    pages.length ? make("p", { class: "meta" }, `Documents: ${pages.join(", ")}`) : null,
    note ? make("p", { class: "meta" }, `Note: ${note}`) : null);
}

/** A card; `onDecided(card, review)` hears of the decision. */
export class Review {
  #review;
  #onDecided;
  #actions = make("div", { class: "decide" });

  constructor(review, onDecided) {
    this.#review = review;
    this.#onDecided = onDecided;
    const { time, user, model, question, answer, checks, cut, passages, decision } = review;
    const who = [moment.format(new Date(time)), user, model].filter((part) => part).join(" · ");
    this.element = make("article", { class: "review", tabindex: "-1", "aria-label": question.slice(0, 80) },
      make("p", { class: "meta" }, who),
      earlier(review.earlier),
      make("h2", { class: "text" }, question),
      make("p", { class: "text answer" }, answer || "No answer left."),
      findings(checks),
      sources(passages),
      cut.length ? make("p", { class: "meta" }, `Too long to be kept whole: ${cut.map((name) => CUT[name] ?? name).join(", ")}.`) : null,
      decision ? outcome(decision) : this.#actions);
    if (!decision) this.#offer();
  }

  #offer(focused) {
    const simple = (name, label) => make("button", { class: "quiet", type: "button", onclick: () => this.#send({ decision: name }) }, label);
    const correct = make("button", { class: "quiet", type: "button", onclick: () => this.#correct() }, "Correct…");
    this.#actions.replaceChildren(simple("approve", "Approve"), correct, simple("reject", "Reject"));
    if (focused) correct.focus();
  }

  #correct() {
    const { answer, finish_reason } = this.#review;
    const text = make("textarea", { required: true, maxlength: "4000", rows: "4" });
    // A refusal is no draft of the right answer.
    text.value = finish_reason === "content_filter" ? "" : answer.slice(0, 4000);
    const pages = make("input", { autocomplete: "off", spellcheck: "false", placeholder: "docs/page.md, docs/other.md" });
    pages.value = cited(this.#review).slice(0, 8).join(", ");
    const submit = (event) => {
      event.preventDefault();
      const ids = pages.value.split(",").map((id) => id.trim()).filter((id) => id);
      this.#send({ decision: "correct", correction: text.value, pages: ids });
    };
    const form = make("form", { class: "correct", onsubmit: submit },
      make("label", {}, "The right answer", text),
      make("label", {}, "Documents that hold it", pages, make("span", { class: "meta" }, "Ids, parted by commas. None: no document answers this.")),
      make("div", { class: "actions" },
        make("button", { class: "quiet", type: "button", onclick: () => this.#offer(true) }, "Cancel"),
        make("button", { class: "primary", type: "submit" }, "Save the correction")));
    form.addEventListener("keydown", (event) => event.key === "Escape" && this.#offer(true));
    this.#actions.replaceChildren(form);
    text.focus();
  }

  async #send(decision) {
    const buttons = [...this.#actions.querySelectorAll("button")];
    const pressed = document.activeElement;
    for (const button of buttons) button.disabled = true;
    this.#actions.querySelector(".wrong")?.remove();
    try {
      this.#onDecided(this, await decide(this.#review.id, decision));
    } catch (error) {
      for (const button of buttons) button.disabled = false;
      this.#actions.append(make("p", { class: "wrong", role: "alert" }, `Not stored: ${error.message}`));
      pressed?.focus();
    }
  }
}
