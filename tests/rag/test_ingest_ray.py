"""The ingest job by Ray Data gives the same passages as in one process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rag.collection import Collection
from rag.parts import documents, paths


def rows(index: Path, collection: str) -> dict[str, tuple[str, list[float]]]:
    found = Collection(index, collection)
    parts = paths(found.folder(found.current()))
    read = [pair for path in parts for _, rows, vectors in documents(path) for pair in zip(rows, vectors, strict=True)]
    return {row["id"]: (row["text"], vector.tolist()) for row, vector in read}


@pytest.mark.ray
def test_ray_data_gives_the_same_passages(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for n in range(6):
        (docs / f"{n}.md").write_text(f"# Part {n}\n\nReplica {n} scales on its own.\n\n## More\n\nAnd {n} more.\n")
    (docs / "broken.json").write_text("{")
    report = tmp_path / "report.json"
    for way, collection in (("always", "many"), ("never", "one")):
        command = [sys.executable, "-m", "rag.ingest", str(docs), "--index", str(tmp_path / "index")]
        options = ["--collection", collection, "--ray", way, "--report", str(report)]
        done = subprocess.run(
            [*command, *options],
            check=False,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "RAY_AUTH_MODE": "token"},
        )
        assert done.returncode == 1, done.stderr
        assert [one["document"] for one in json.loads(report.read_text())["unreadable"]] == ["docs/broken.json"]
    many, one = rows(tmp_path / "index", "many"), rows(tmp_path / "index", "one")
    assert many.keys() == one.keys()
    assert len(one) == 12
    for key, (text, vector) in one.items():
        assert many[key][0] == text
        assert float(np.dot(many[key][1], vector)) > 0.99
