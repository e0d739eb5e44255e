"""The notebook from top to bottom, in a kernel of its own, against the running application."""

import nbformat
import pytest
from nbclient import NotebookClient

from tests.serve.conftest import ROOT, Running

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

FOLDER = ROOT / "notebooks"


@pytest.fixture(scope="module")
def notebook(raglan: Running) -> nbformat.NotebookNode:
    """Executed. A cell that raises fails the test with its traceback."""
    found = nbformat.read(FOLDER / "01_ask_your_documents.ipynb", as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAGLAN_URL", raglan.url)
        patch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        NotebookClient(found, timeout=120, resources={"metadata": {"path": str(FOLDER)}}).execute()
    return found


def printed(notebook: nbformat.NotebookNode) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def shown(notebook: nbformat.NotebookNode, mime: str) -> list[str]:
    """Everything the cells display in this type."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output.data[mime] for output in outputs if mime in output.get("data", {})]


def test_it_attaches_and_answers_from_the_sample_folder(notebook: nbformat.NotebookNode, raglan: Running) -> None:
    text = printed(notebook)
    assert f"Attached to {raglan.url}" in text
    for page in ("Tickets for", "Timetable of", "Luggage and bicycles on"):
        assert f"cites {page} the Carrow ferry" in text


def test_it_shows_hits_and_timings_as_tables_and_a_plot(notebook: nbformat.NotebookNode) -> None:
    tables = shown(notebook, "text/html")
    assert any("rerank" in table and "Prices" in table for table in tables)
    assert any("llm_ttft" in table for table in tables)
    assert len(shown(notebook, "image/png")) == 1


def test_it_leaves_no_document_behind(notebook: nbformat.NotebookNode, raglan: Running) -> None:
    assert "3 documents removed" in printed(notebook)
    ids = {document["id"] for document in raglan.http.get("/v1/documents").json()["data"]}
    assert not any("timetable" in name for name in ids)
