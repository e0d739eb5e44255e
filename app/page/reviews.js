// The review page: flagged exchanges of one status at a time, and what is decided on them.

import { access, reviews } from "./api.js";
import { byId, count } from "./dom.js";
import { Review } from "./review.js";
import { startKey, startTheme } from "./settings.js";

const EMPTY = {
  open: "Nothing waits for a review.",
  approved: "Nothing is approved yet.",
  corrected: "Nothing is corrected yet.",
  rejected: "Nothing is rejected yet.",
};

const list = byId("reviews");
const filters = [...byId("filters").children];
let status = "open";
let last = "";
/** Only the newest request may draw: answers can overtake each other. */
let newest = 0;

function showCounts(counts) {
  for (const filter of filters) filter.querySelector(".count").textContent = counts[filter.value] || "";
}

/** A decision moves one exchange from open to where it belongs now. */
function decided(card, review) {
  const next = card.element.nextElementSibling ?? card.element.previousElementSibling;
  for (const [name, change] of [["open", -1], [review.status, 1]]) {
    const shown = filters.find((filter) => filter.value === name).querySelector(".count");
    shown.textContent = Number(shown.textContent) + change || "";
  }
  byId("said").textContent = `${review.status[0].toUpperCase()}${review.status.slice(1)}.`;
  card.element.remove();
  // Not its first button: a second press of the same key would decide it unread.
  (next ?? list).focus();
  showEnd();
}

function showEnd() {
  const empty = !list.childElementCount && byId("more").hidden && byId("notice").hidden;
  byId("empty").textContent = EMPTY[status];
  byId("empty").hidden = !empty;
  // The last one of this page is decided, and others wait behind it.
  if (!list.childElementCount && !byId("more").hidden) load();
}

async function load() {
  const request = ++newest;
  list.setAttribute("aria-busy", "true");
  byId("notice").hidden = true;
  try {
    const page = await reviews(status, last);
    if (request !== newest) return;
    list.append(...page.data.map((review) => new Review(review, decided).element));
    last = page.data.at(-1)?.id ?? last;
    showCounts(page.counts);
    byId("full").hidden = !page.full;
    byId("more").hidden = !page.has_more;
    byId("said").textContent = `${count(page.data.length, "exchange")} shown.`;
  } catch (error) {
    if (request !== newest) return;
    byId("notice-text").textContent = error.code === "reviewer_required"
      ? "You cannot review with this key: it has not the role “reviewer”." : error.message;
    byId("notice").hidden = false;
    byId("more").hidden = true;
  }
  list.setAttribute("aria-busy", "false");
  showEnd();
}

function show(chosen) {
  status = chosen;
  last = "";
  for (const filter of filters) filter.setAttribute("aria-pressed", String(filter.value === chosen));
  list.replaceChildren();
  byId("empty").hidden = true;
  byId("more").hidden = true;
  load();
}

for (const filter of filters) filter.addEventListener("click", () => show(filter.value));
byId("more").addEventListener("click", async () => {
  const seen = list.lastElementChild;
  await load();
  // The button may be gone: go on where the new ones begin.
  (seen?.nextElementSibling ?? list).focus();
});
byId("again").addEventListener("click", load);
access.addEventListener("changed", () => show(status));
startKey();
startTheme();
show(status);
