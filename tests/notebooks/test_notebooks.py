"""What is committed of the notebooks, and cells on what the sample never gives; `tests/serve/test_notebook.py` executes
them as they stand.
"""

from pathlib import Path
from typing import Any

import httpx
import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_valid_and_committed_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert notebook.cells[0].source.startswith("# ")


def executed(cell: str, **names: Any) -> dict[str, Any]:
    """What is known after a cell of the first notebook, where these names are known before it."""
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    [source] = [found.source for found in notebook.cells if found.id == cell]
    known = {"Any": Any, "pd": pd, **names}
    exec(source, known)
    return known


def test_what_is_asked_stands_where_the_folder_is_chosen() -> None:
    assert len(executed("cell-02")["QUESTIONS"]) == 3
    assert "dogs" not in NOTEBOOKS[0].read_text()


def test_nothing_found_is_an_empty_table() -> None:
    hit = {"n": 1, "title": "T", "headings": ["A", "B"], "score": 0.12345, "dense": None, "sparse": 1.0, "rerank": None}
    passages = executed("cell-11", QUESTIONS=["q"], reports={"q": {"passages": []}})["passages"]
    assert list(passages([])) == list(passages([hit])) == ["title", "section", "score", "dense", "sparse", "rerank"]
    assert len(passages([])) == 0
    assert list(passages([hit]).loc[1])[:3] == ["T", "A > B", 0.123]


@pytest.mark.parametrize("blocked", [False, True])
def test_times_are_drawn_without_a_stage_that_was_not_needed(blocked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plt, "show", lambda: None)
    ms = {"embed": 1.0, "guard": 2.0, "ttft": 4.0, "total": 5.0} | (
        {} if blocked else {"retrieve": 2.0, "generate": 1.0}
    )
    try:
        known = executed("cell-16", timings=pd.DataFrame({"q": ms}).T)
        assert known["spans"](known["known"].loc["q"])["rerank"][1] == 0
    finally:
        plt.close("all")


def test_a_document_is_removed_by_its_whole_id() -> None:
    asked: list[bytes] = []

    def removed(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path)
        return httpx.Response(200)

    with httpx.Client(base_url="http://raglan", transport=httpx.MockTransport(removed)) as http:
        executed("cell-20", http=http, URL="http://raglan", added=[{"id": "a/notes#1.md"}, {"id": "50% of what?.md"}])
    assert asked == [b"/v1/documents/a/notes%231.md", b"/v1/documents/50%25%20of%20what%3F.md"]
