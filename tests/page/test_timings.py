"""The bars under an answer: each stage begins where the one that it waited for ended."""

import pytest

from tests.page.chromium import Watched

pytestmark = pytest.mark.browser

ENGINE = {"queue": 0, "llm_ttft": 10, "generate": 20}
PARALLEL = {"embed": 10, "guard": 10, "retrieve": 20, "rerank": 10, "screen": 20, **ENGINE}
REWORDED = {"embed": 10, "guard": 10, "rewrite": 20, "retrieve": 10, "rerank": 10, "screen": 10, **ENGINE}
BARS = """async (stages) => {
  const { timingsLine } = await import(new URL("page/timings.js", document.baseURI).href);
  const seen = { first: 1, total: 1 };
  const line = timingsLine({ timings: { ...stages, ttft: 80, total: 100 }, trace_id: "t" }, null, seen);
  return [...line.querySelectorAll("tbody tr")].map((row) => [
    row.querySelector("th").textContent, parseFloat(row.querySelector(".fill")?.style.marginInlineStart),
  ]);
}"""


@pytest.mark.parametrize(
    ("stages", "starts"),
    [
        (PARALLEL, {"Embed": 0, "Guard": 10, "Retrieve": 10, "Rerank": 30, "Screen": 40, "Generate": 60}),
        (REWORDED, {"Guard": 10, "Reword": 20, "Retrieve": 40, "Rerank": 50, "Screen": 60, "Generate": 70}),
    ],
)
def test_every_stage_begins_where_what_it_waited_for_ended(
    desk: Watched, stages: dict[str, int], starts: dict[str, int]
) -> None:
    bars = {label.split()[0]: start for label, start in desk.page.evaluate(BARS, stages)}
    assert {name: bars.get(name) for name in starts} == starts
    assert list(bars)[-3:] == ["Wait", "Engine's", "Generate"]
