"""What a store keeps beside each vector: the passage, its place in its document, and the fields that filters read."""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from rag.scope import EVERYBODY, moment
from rag.types import DocumentInfo, Passage

NAMESPACE = uuid.UUID("7d8fe5f5-1d6c-4c3a-9c0e-6a8d7c1f2b90")
PASSAGE = frozenset(field.name for field in fields(Passage))
DOCUMENT = ["document_id", "title", "url", "passages", "metadata"]
"""The payload fields that `to_info` reads."""
KEYWORDS = ("document_id", "readers", "source", "tags", "origin")
"""Payload fields with a keyword index, beside `tenant`."""


def point_id(passage: Passage) -> str:
    """The same UUID for the same passage of the same tenant, always."""
    return str(uuid.uuid5(NAMESPACE, f"{passage.tenant}\0{passage.id}"))


def payloads(passages: Sequence[Passage]) -> list[dict[str, Any]]:
    """What is stored beside each vector: the passage, its position, its document's passages, and what filters read."""
    counts = Counter((p.tenant, p.document_id) for p in passages)
    seen: Counter[tuple[str, str]] = Counter()
    out = []
    for passage in passages:
        key = (passage.tenant, passage.document_id)
        whole = {"headings": list(passage.headings), "groups": list(passage.groups), "also": list(passage.also)}
        place = {"position": seen[key], "passages": counts[key]}
        kept = {"metadata": dict(passage.metadata), "scores": dict(passage.scores)}
        others = {"also_marks": {name: list(values) for name, values in passage.also_marks.items()}}
        out.append(asdict(passage) | whole | kept | others | place | indexed(passage))
        seen[key] += 1
    return out


def indexed(passage: Passage) -> dict[str, Any]:
    """The indexed fields of a payload: the marks of the passage and of those it stands for, its origin and readers."""
    own, others = marks(passage.metadata), passage.also_marks
    both = {name: list(dict.fromkeys([*own.get(name, ()), *others.get(name, ())])) for name in own.keys() | others}
    origin = {"origin": passage.metadata["origin"]} if passage.metadata.get("origin") else {}
    return both | origin | {"readers": list(passage.groups) or [EVERYBODY]}


def marks(metadata: Mapping[str, str]) -> dict[str, list[str]]:
    """What filters find a passage by: absent where the metadata says nothing, or no date that can be read."""
    tags = [tag for part in metadata.get("tags", "").split(",") if (tag := part.strip())]
    date = moment(metadata.get("date", ""))
    found = {"source": [metadata.get("source", "")], "tags": tags, "date": [date.isoformat()] if date else []}
    return {name: values for name, values in found.items() if any(values)}


def to_passage(payload: dict[str, Any]) -> Passage:
    """The passage that `payloads` stored; what it does not name keeps its default."""
    given = {name: value for name, value in payload.items() if name in PASSAGE}
    given["also_marks"] = {name: tuple(values) for name, values in given.get("also_marks", {}).items()}
    return Passage(**given | {name: tuple(given.get(name, ())) for name in ("headings", "groups", "also")})


def to_info(payload: dict[str, Any]) -> DocumentInfo:
    """The document whose first passage has this payload."""
    return DocumentInfo(
        payload["document_id"],
        payload["title"],
        payload["url"].partition("#")[0],
        payload["passages"],
        payload["metadata"],
    )
