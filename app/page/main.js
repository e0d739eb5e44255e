// Wires the page.

import { Chat } from "./chat.js";
import { byId } from "./dom.js";
import { startDocuments } from "./documents.js";
import { hidePassage } from "./passage.js";
import { chosenModel, startSettings } from "./settings.js";

const NEAR_END = 120;

const question = byId("question");
let following = true;

const follow = () => following && scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
const chat = new Chat(chosenModel, (busy) => {
  // The button that began or could end the answer is about to go, and must not take the focus with it.
  if (busy || document.activeElement === byId("stop")) question.focus();
  byId("send").hidden = busy;
  byId("stop").hidden = !busy;
  // What stands under a complete answer is drawn by now.
  if (!busy) follow();
});

function ask(text) {
  if (!text.trim() || chat.busy) return;
  byId("welcome").hidden = true;
  question.value = "";
  chat.ask(text.trim());
}

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  ask(question.value);
});
question.addEventListener("keydown", (event) => {
  // While an input method composes, Enter chooses a word.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ask(question.value);
});
byId("stop").addEventListener("click", () => {
  chat.stop();
  question.focus();
});
byId("new-chat").addEventListener("click", () => {
  chat.clear();
  hidePassage();
  byId("welcome").hidden = false;
  question.focus();
});
for (const example of document.querySelectorAll(".examples button")) {
  example.addEventListener("click", () => ask(example.textContent));
}

// Follow the growing answer, unless the person has scrolled up to read.
addEventListener("scroll", () => {
  following = innerHeight + scrollY > document.documentElement.scrollHeight - NEAR_END;
}, { passive: true });
new ResizeObserver(() => chat.busy && follow()).observe(byId("conversation"));

startSettings();
startDocuments();
