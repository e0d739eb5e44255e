"""What a store keeps beside each vector: the passage, its place in its document, and the fields that filters read."""

import uuid
from collections import Counter
from collections.abc import Sequence
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
        out.append(asdict(passage) | whole | kept | place | marks(passage))
        seen[key] += 1
    return out


def marks(passage: Passage) -> dict[str, Any]:
    """The indexed fields that filters read: absent where the metadata says nothing, or no date that can be read."""
    given = passage.metadata
    found: dict[str, Any] = {name: given[name] for name in ("source", "origin") if given.get(name)}
    if tags := [tag for part in given.get("tags", "").split(",") if (tag := part.strip())]:
        found["tags"] = tags
    if date := moment(given.get("date", "")):
        found["date"] = date.isoformat()
    return found | {"readers": list(passage.groups) or [EVERYBODY]}


def to_passage(payload: dict[str, Any]) -> Passage:
    """The passage that `payloads` stored; what it does not name keeps its default."""
    given = {name: value for name, value in payload.items() if name in PASSAGE}
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
