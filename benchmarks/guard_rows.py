"""The rows that `make bench-guard` measures: folders of .jsonl files, in the layouts that attack sets come in."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

PASSAGE_FIELDS = ("poisoned_context", "context", "passage", "instruction")
QUESTION_FIELDS = ("user_input", "prompt", "text", "question")
LABEL_FIELDS = ("category", "label")
ALL = "all"


class UnreadableRow(ValueError):
    """A line that cannot be measured; the message names its file and number."""


@dataclass(frozen=True, slots=True)
class Row:
    """A text to be judged: as a question by the input rails, or as a retrieved passage by the passage scanner."""

    text: str
    label: str
    kind: Literal["question", "passage"]


def files(folder: Path) -> list[Path]:
    """Every .jsonl file below `folder`, in order. Raises ValueError when there is none."""
    found = sorted(folder.rglob("*.jsonl"))
    if not found:
        raise ValueError(f"{folder}: no .jsonl file here")
    return found


def rows(path: Path) -> Iterator[Row]:
    """The rows of a file, blank lines skipped. Raises UnreadableRow."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield row(json.loads(line))
                except (ValueError, TypeError) as error:
                    raise UnreadableRow(f"{path}, line {number}: {error}") from error


def row(fields: Any) -> Row:
    """Read one row. Raises TypeError or ValueError that says what is missing."""
    if not isinstance(fields, dict):
        raise TypeError("a row is a JSON object")
    name = next((f for f in (*PASSAGE_FIELDS, *QUESTION_FIELDS) if f in fields), None)
    if name is None:
        raise ValueError(f"none of the fields {', '.join((*PASSAGE_FIELDS, *QUESTION_FIELDS))}")
    if not isinstance(fields[name], str):
        raise TypeError(f"the field '{name}' is not a text")
    label = next((fields[f] for f in LABEL_FIELDS if fields.get(f) is not None), ALL)
    return Row(fields[name], str(label), "passage" if name in PASSAGE_FIELDS else "question")
