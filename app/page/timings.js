// How long an answer took: one line, which opens to a bar for every stage.

import { hidden, icon, make } from "./dom.js";

const LABELS = {
  embed: "Embed the question",
  guard: "Guard",
  rewrite: "Reword the follow-up",
  retrieve: "Retrieve",
  rerank: "Rerank",
  screen: "Screen the passages",
  queue: "Wait for the engine",
  llm_ttft: "Engine's first token",
  generate: "Generate",
};

const duration = (ms) => (ms < 1000 ? `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`);

/**
 * When each stage began, in milliseconds. The server tells lengths; the order is that of its request: embedding, then
 * the guard beside retrieval and reranking, then the screen of what was found, then the engine. A follow-up that is
 * reworded waits for the guard, and retrieval for it.
 */
function starts(ms) {
  const length = (stage) => ms[stage] ?? 0;
  const embedded = length("embed");
  const guarded = embedded + length("guard");
  const worded = "rewrite" in ms ? guarded + length("rewrite") : embedded;
  const ranked = worded + length("retrieve");
  const found = Math.max(guarded, ranked + length("rerank"));
  const ready = found + length("screen");
  return {
    embed: 0,
    guard: embedded,
    rewrite: guarded,
    retrieve: worded,
    rerank: ranked,
    screen: found,
    queue: ready,
    llm_ttft: ready,
    generate: ready,
  };
}

function bar(stage, ms, start, total) {
  const fill = make("span", { class: `fill ${stage}` });
  // The rule against inline styles bars the attribute, not this.
  fill.style.marginInlineStart = `${(100 * start) / total}%`;
  fill.style.width = `${(100 * Math.min(ms, total - start)) / total}%`;
  return make("tr", {},
    make("th", { scope: "row" }, LABELS[stage] ?? stage),
    make("td", { class: "track", "aria-hidden": "true" }, start === undefined ? null : fill),
    make("td", { class: "ms" }, duration(ms)));
}

/** Copies, or where the browser forbids that (plain http), selects the text for the person to copy. */
function traceRow(id) {
  const code = make("code", {}, id);
  const said = make("span", { role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(id);
      said.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      said.textContent = "Selected: copy it with your keyboard";
    }
  };
  const name = "Copy the trace id";
  const button = make("button", { type: "button", class: "tool bare small", title: name, onclick: copy }, icon("copy"), hidden(name));
  return make("p", { class: "trace" }, "Trace ", code, button, said);
}

/** The line for an answer. `seen` are the browser's own milliseconds to the first text and to the end. */
export function timingsLine({ timings, trace_id }, usage, seen) {
  const { ttft, total, ...stages } = timings;
  const begin = starts(stages);
  const tokens = usage?.completion_tokens ?? 0;
  const speed = tokens && stages.generate ? `${Math.round((1000 * tokens) / stages.generate)} tokens/s` : null;
  const parts = [`first text ${duration(ttft)}`, `total ${duration(total)}`, speed].filter((part) => part);
  const rows = [...Object.keys(LABELS), ...Object.keys(stages).filter((stage) => !(stage in LABELS))]
    .filter((stage) => stage in stages)
    .map((stage) => bar(stage, stages[stage], begin[stage], Math.max(total, 1e-3)));
  // What opens may lie under the composer.
  const reveal = ({ target }) => target.open && target.scrollIntoView({ block: "nearest" });
  return make("details", { class: "timings", ontoggle: reveal },
    make("summary", {}, icon("chevron"), make("span", {}, parts.join(" · "))),
    make("table", {}, make("caption", { class: "sr" }, "Milliseconds by stage"), make("tbody", {}, ...rows)),
    make("p", { class: "seen" }, `Seen by this browser: first text ${duration(seen.first)}, total ${duration(seen.total)}.`
      + (usage ? ` ${usage.prompt_tokens} tokens in, ${usage.completion_tokens} out.` : "")),
    traceRow(trace_id));
}
