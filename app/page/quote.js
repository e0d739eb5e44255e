// Finds the stretches of a passage that an answer quotes.

const MARKERS = /\[\d{1,3}\]/g;

const words = (text) =>
  [...text.matchAll(/[\p{L}\p{N}]+/gu)].map((m) => ({ word: m[0].toLowerCase(), start: m.index, end: m.index + m[0].length }));

/** The sentence that a citation marker at `index` of `answer` closes. */
function claim(answer, index) {
  const before = answer.slice(0, index).replace(/(\s*\[\d{1,3}\]|[.!?\s])+$/, "");
  const start = Math.max(...[". ", "! ", "? ", "] ", "\n"].map((end) => before.lastIndexOf(end) + 1));
  return before.slice(start).replace(MARKERS, " ");
}

/**
 * The longest run of words that `text` shares with `sentence`, as [start, end] in `text`; null when it is too short
 * to be a quotation: under 4 words, or under half of the sentence.
 */
function longestRun(text, sentence) {
  const [a, b] = [words(text), words(sentence)];
  let best = { length: 0, end: 0 };
  let above = [];
  for (let i = 0; i < a.length; i++) {
    const row = b.map(({ word }, j) => (word === a[i].word ? (above[j - 1] ?? 0) + 1 : 0));
    const length = Math.max(0, ...row);
    if (length > best.length) best = { length, end: i };
    above = row;
  }
  if (best.length < 4 || best.length < b.length / 2) return null;
  const end = a[best.end].end;
  return [a[best.end - best.length + 1].start, end + (/[.!?]/.test(text[end] ?? "") ? 1 : 0)];
}

/** What the sentences of `answer` that cite [number] quote of `text`: [start, end] pairs, in order, apart. */
export function quotations(text, answer, number) {
  const found = [...answer.matchAll(MARKERS)]
    .filter(([marker]) => marker === `[${number}]`)
    .map(({ index }) => longestRun(text, claim(answer, index)))
    .filter((run) => run)
    .sort(([a], [b]) => a - b);
  return found.filter(([start], i) => i === 0 || start >= found[i - 1][1]);
}
