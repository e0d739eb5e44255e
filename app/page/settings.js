// The API key, the colour scheme and the choice of model.

import { access, key, models } from "./api.js";
import { byId, make } from "./dom.js";

const NOTE = byId("settings-note").textContent;

function openSettings(note) {
  const dialog = byId("settings");
  if (dialog.open) return;
  byId("settings-note").textContent = note;
  byId("key").value = key.get();
  dialog.showModal();
  byId("key").select();
}

/** Make the dialog for the API key work. */
export function startKey() {
  byId("open-settings").addEventListener("click", () => openSettings(NOTE));
  byId("settings-cancel").addEventListener("click", () => byId("settings").close());
  byId("settings-form").addEventListener("submit", () => {
    key.set(byId("key").value.trim());
    access.dispatchEvent(new Event("changed"));
  });
  access.addEventListener("unauthorized", () =>
    openSettings(key.get() ? "The server did not accept this key." : "This server asks for an API key. It is kept until this tab closes."));
}

/** Make the choice between light and dark work. */
export function startTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  byId("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const now = root.dataset.theme ?? (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("raglan-theme", root.dataset.theme);
    } catch {
      // Storage can be forbidden; the choice then lasts as long as the page.
    }
  });
}

async function listModels() {
  const ids = await models();
  byId("picker").hidden = ids.length < 2;
  byId("model").replaceChildren(...ids.map((id) => make("option", { value: id }, id)));
}

/** The chosen model's id. Throws ApiError where the list cannot be had. */
export async function chosenModel() {
  if (!byId("model").value) await listModels();
  return byId("model").value;
}

/** Make all of the chat page's settings work. */
export function startSettings() {
  startKey();
  startTheme();
  // What goes wrong here goes wrong again with the first question, which can tell it.
  const tryList = () => listModels().catch(() => {});
  access.addEventListener("changed", tryList);
  tryList();
}
