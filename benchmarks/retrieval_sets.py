"""What retrieval is measured on: a folder in BEIR layout, or the handbook with the project's own questions."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.errors import InvalidInput
from rag.read import READERS, ReadConfig, read_file
from rag.types import Document

ROOT = Path(__file__).resolve().parent.parent
HANDBOOK = ROOT / "benchmarks" / "handbook.jsonl"


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Documents, questions by id, and `relevant`: by question the gain of each document that answers it.

    `unanswerable` questions are known to have no answer in the documents; every other one without gain is left out.
    """

    name: str
    documents: tuple[Document, ...]
    questions: dict[str, str]
    relevant: dict[str, dict[str, int]]
    unanswerable: tuple[str, ...] = ()

    def limited(self, limit: int) -> "QuestionSet":
        """The first `limit` judged questions and as many unanswerable ones; all of them when 0."""
        kept = dict(list(self.relevant.items())[: limit or None])
        return QuestionSet(self.name, self.documents, self.questions, kept, self.unanswerable[: limit or None])


def beir(folder: Path, split: str = "test") -> QuestionSet:
    """Read corpus.jsonl {_id, title, text}, queries.jsonl {_id, text} and qrels/SPLIT.tsv with its header line.

    Documents without text are kept. Raises InvalidInput that names file and line of what is missing or malformed.
    """
    documents = {
        key: Document(key, text(row, "text", place), text(row, "title", place, ""))
        for place, key, row in keyed(folder / "corpus.jsonl")
    }
    questions = {key: text(row, "text", place) for place, key, row in keyed(folder / "queries.jsonl")}
    path = folder / "qrels" / f"{split}.tsv"
    relevant: dict[str, dict[str, int]] = {}
    for place, (question, document, gain) in judgements(path):
        if question not in questions:
            raise InvalidInput(f"{place}: no query {question!r} in queries.jsonl", "data")
        if document not in documents:
            raise InvalidInput(f"{place}: no document {document!r} in corpus.jsonl", "data")
        if gain > 0:
            relevant.setdefault(question, {})[document] = gain
    if not relevant:
        raise InvalidInput(f"{path}: no query has a relevant document", "data")
    return QuestionSet(folder.resolve().name, tuple(documents.values()), questions, relevant)


def handbook(path: Path = HANDBOOK, docs: Path = ROOT / "docs") -> QuestionSet:
    """The pages of `docs` under the ids that the index command gives them, and the questions of `path`.

    A question is a line {question, pages}; without pages it is unanswerable. Raises InvalidInput as `beir` does.
    """
    documents = [
        read_file(f"docs/{file.relative_to(docs).as_posix()}", file.read_bytes(), ReadConfig())
        for file in sorted(docs.rglob("*"))
        if file.suffix in READERS
    ]
    known = {document.id for document in documents}
    questions: dict[str, str] = {}
    relevant: dict[str, dict[str, int]] = {}
    for n, (place, row) in enumerate(rows(path), 1):
        questions[str(n)] = text(row, "question", place)
        pages = row.get("pages", [])
        if missing := [page for page in pages if page not in known]:
            raise InvalidInput(f"{place}: no page {missing[0]!r} in {docs}", "data")
        if pages:
            relevant[str(n)] = dict.fromkeys(pages, 1)
    unanswerable = tuple(key for key in questions if key not in relevant)
    return QuestionSet("handbook", tuple(documents), questions, relevant, unanswerable)


def rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The JSON objects of a file, one a line, each with its place; blank lines do not count."""
    for place, line in lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InvalidInput(f"{place}: not JSON: {error}", "data") from error
        if not isinstance(row, dict):
            raise InvalidInput(f"{place}: not a JSON object", "data")
        yield place, row


def keyed(path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """`rows` with their ids, no id twice."""
    seen: set[str] = set()
    for place, row in rows(path):
        key = text(row, "_id", place)
        if key in seen:
            raise InvalidInput(f"{place}: the id {key!r} stands twice", "data")
        seen.add(key)
        yield place, key, row


def judgements(path: Path) -> Iterator[tuple[str, tuple[str, str, int]]]:
    """Query id, document id and gain of each line but the first, which is the header."""
    for n, (place, line) in enumerate(lines(path)):
        if n == 0 or not line.strip():
            continue
        fields = next(csv.reader([line], delimiter="\t", quoting=csv.QUOTE_NONE))
        try:
            question, document, gain = fields
            yield place, (question, document, int(gain))
        except ValueError as error:
            raise InvalidInput(f"{place}: not query-id, corpus-id and a whole score, parted by tabs", "data") from error


def lines(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8") as file:
            for n, line in enumerate(file, 1):
                yield f"{path}:{n}", line.rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: {error}", "data") from error


def text(row: dict[str, Any], key: str, place: str, default: str | None = None) -> str:
    """A text field of a row. Raises InvalidInput when it is missing without a `default`, or no text."""
    value = row.get(key, default)
    if not isinstance(value, str):
        raise InvalidInput(f"{place}: {key!r} is {'missing' if value is None else 'not a text'}", "data")
    return value
