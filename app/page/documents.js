// The documents: list, add, remove.

import { access, documents, remove, upload } from "./api.js";
import { byId, count, hidden, icon, make } from "./dom.js";
import { Panel } from "./panel.js";

const panel = new Panel(byId("documents"));
const note = byId("documents-note");
const list = byId("documents-list");

const passages = (n) => count(n, "passage");

async function refresh() {
  try {
    const stored = await documents();
    note.textContent = stored.length ? `${count(stored.length, "document")} stored` : "Nothing is stored yet.";
    list.replaceChildren(...stored.map(row));
  } catch (error) {
    note.textContent = error.message;
    list.replaceChildren();
  }
}

function row(stored) {
  const name = stored.title || stored.id;
  const detail = make("span", { class: "detail" }, `${stored.id} · ${passages(stored.passages)}`);
  const bin = { class: "tool bare small", type: "button", title: "Remove", onclick: () => confirm() };
  const ask = make("button", bin, icon("remove"), hidden(`Remove ${name}`));
  const said = make("span", { class: "detail wrong", role: "status" });
  const item = make("li", {}, make("div", { class: "what" }, make("span", { class: "name" }, name), detail, said), ask);

  function confirm() {
    const keep = make("button", { class: "quiet", type: "button", onclick: () => { question.replaceWith(ask); ask.focus(); } }, "Keep");
    const go = make("button", { class: "quiet danger", type: "button", onclick: drop }, "Remove");
    const question = make("div", { class: "confirm", role: "group", "aria-label": `Remove ${name} for good?` }, go, keep);
    ask.replaceWith(question);
    keep.focus();
  }

  async function drop() {
    try {
      await remove(stored.id);
      await refresh();
      byId("add-files").focus();
    } catch (error) {
      said.textContent = `Not removed: ${error.message}`;
      item.querySelector(".confirm").replaceWith(ask);
      ask.focus();
    }
  }
  return item;
}

async function store(file) {
  const bar = make("progress", { max: "1", value: "0", "aria-label": `Sending ${file.name}` });
  const said = make("span", { class: "detail" }, "Sending");
  byId("uploads").prepend(make("li", {}, make("span", { class: "name" }, file.name), bar, said));
  const show = (part) => {
    bar.value = part;
    if (part < 1) return;
    // All sent; how long reading and indexing take is not known.
    bar.removeAttribute("value");
    said.textContent = "Indexing";
  };
  try {
    const made = await upload(file, show);
    said.textContent = `Searchable now, ${passages(made.reduce((sum, stored) => sum + stored.passages, 0))}`;
  } catch (error) {
    said.textContent = error.message;
    said.classList.add("wrong");
  }
  bar.remove();
}

/** Store files one after another; each tells its own result. */
async function storeAll(files) {
  if (!files.length) return;
  if (!panel.isOpen) panel.open();
  for (const file of files) await store(file);
  await refresh();
}

function acceptDrops() {
  const curtain = byId("drop");
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  const over = (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    curtain.hidden = false;
  };
  document.addEventListener("dragenter", over);
  document.addEventListener("dragover", over);
  // Leaving towards an element of the page is no leaving.
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) curtain.hidden = true; });
  document.addEventListener("drop", (event) => {
    curtain.hidden = true;
    if (!carriesFiles(event)) return;
    event.preventDefault();
    storeAll([...event.dataTransfer.files]);
  });
}

/** Make the panel and the drop target work. */
export function startDocuments() {
  const input = byId("files");
  byId("open-documents").addEventListener("click", () => {
    panel.open();
    refresh();
  });
  byId("add-files").addEventListener("click", () => input.click());
  input.addEventListener("change", async () => {
    const files = [...input.files];
    // The same file may be chosen again.
    input.value = "";
    await storeAll(files);
  });
  access.addEventListener("changed", () => panel.isOpen && refresh());
  acceptDrops();
}
