// Thumbs up and down under an answer.

import { rate } from "./api.js";
import { hidden, icon, make } from "./dom.js";

const NAMES = { up: "Good answer", down: "Bad answer" };

/** The two buttons for the answer with this trace; a thumb down also asks what was wrong. */
export function feedbackButtons(traceId) {
  const said = make("span", { class: "said", role: "status" });
  const box = make("div", { class: "feedback" });
  const buttons = {};

  async function store(rating, comment) {
    for (const button of Object.values(buttons)) button.disabled = true;
    try {
      await rate({ trace_id: traceId, rating, ...(comment && { comment }) });
      for (const [name, button] of Object.entries(buttons)) button.setAttribute("aria-pressed", String(name === rating));
      said.textContent = "Thank you";
      said.classList.remove("wrong");
      return true;
    } catch (error) {
      said.textContent = `Not stored: ${error.message}`;
      said.classList.add("wrong");
      return false;
    } finally {
      for (const button of Object.values(buttons)) button.disabled = false;
    }
  }

  function askWhy() {
    const input = make("input", { maxlength: "1000", placeholder: "What was wrong? (optional)", "aria-label": "What was wrong?" });
    const submit = async (event) => {
      event.preventDefault();
      if (input.value.trim() && !(await store("down", input.value.trim()))) return;
      form.remove();
      buttons.down.focus();
    };
    const form = make("form", { class: "why", onsubmit: submit }, input, make("button", { class: "quiet", type: "submit" }, "Send"));
    box.append(form);
    input.focus();
  }

  async function press(rating) {
    box.querySelector("form")?.remove();
    if (await store(rating)) rating === "down" ? askWhy() : buttons.up.focus();
    else buttons[rating].focus();
  }

  for (const [rating, name] of Object.entries(NAMES)) {
    const thumb = { class: "tool bare small", type: "button", title: name, "aria-pressed": "false", onclick: () => press(rating) };
    buttons[rating] = make("button", thumb, icon(rating), hidden(name));
  }
  box.append(buttons.up, buttons.down, said);
  return box;
}
