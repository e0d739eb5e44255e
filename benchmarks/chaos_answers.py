"""Whether an answer is what it should be: its text without a gap or a repeat, and a stream's proper end."""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from benchmarks.chaos_client import Reply
from rag.sentences import sentences

Ending = Literal["done", "error", "cut", "silent", "refused"]
"""How a stream ended: [DONE], an error event, a broken connection, without a word; refused: before it was one."""
QUOTE = re.compile(r"\s*(.+?) \[(\d+)\](?=\s|$)", re.DOTALL)
MOST_EVIDENCE = 3
"""Evidence entries of the template quote@1, all of which the fake engine quotes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A chat answer as the client has it. `resumed`: a second engine replica went on with it; `timings` by stage."""

    ending: Ending
    text: str = ""
    passages: tuple[str, ...] = ()
    resumed: bool = False
    timings: dict[str, float] = field(default_factory=dict)


@dataclass
class Expected:
    """What is known of each question from before the faults: its answers, and the documents found for it."""

    answers: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    documents: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def fault(self, question: str, answer: Answer) -> str:
        """Why it is no whole answer; empty when it is."""
        if answer.ending != "done":
            return answer.ending
        whole = answer.text in self.answers[question] or quoted(answer.text, answer.passages)
        return "" if whole else f"another text: {answer.text[:80]!r}"

    def search_fault(self, question: str, reply: Reply) -> str:
        """Why it is no right search result; empty when it is."""
        return "" if self.documents[question] & set(found(reply)) else "other documents"


def quoted(text: str, passages: Sequence[str]) -> bool:
    """Whether `text` is what the fake engine writes: MOST_EVIDENCE whole sentences, none of them twice."""
    quotes = [(squeezed(m[1]), int(m[2])) for m in QUOTE.finditer(text)]
    if len(quotes) != MOST_EVIDENCE or len(set(quotes)) != MOST_EVIDENCE:
        return False
    rest = QUOTE.sub("", text).strip()
    return not rest and all(0 < n <= len(passages) and quote in quotable(passages[n - 1]) for quote, n in quotes)


@cache
def quotable(passage: str) -> frozenset[str]:
    """What a prompt may quote of a passage."""
    return frozenset(squeezed(passage[span.start : span.end]) for span in sentences(passage))


def squeezed(text: str) -> str:
    return " ".join(text.split())


def streamed(reply: Reply) -> Answer:
    """The answer in a stream of server-sent events."""
    if reply.status != 200:
        return Answer("refused")
    events = [line.removeprefix("data: ") for line in reply.body.decode(errors="replace").split("\n\n") if line]
    done = bool(events) and events[-1] == "[DONE]"
    chunks = parsed(events[:-1] if done else events)
    if done:
        ending: Ending = "done"
    elif reply.broken:
        ending = "cut"
    else:
        ending = "error" if chunks and "error" in chunks[-1] else "silent"
    deltas = [choice["delta"] for chunk in chunks for choice in chunk.get("choices", ())]
    report: dict[str, Any] = next((chunk["raglan"] for chunk in reversed(chunks) if "raglan" in chunk), {})
    return reported(ending, "".join(delta.get("content") or "" for delta in deltas), report)


def parsed(events: Sequence[str]) -> list[dict[str, Any]]:
    """The events' JSON, without a last one that was cut off."""
    out = []
    for event in events:
        try:
            out.append(json.loads(event))
        except ValueError:
            break
    return out


def whole(reply: Reply) -> Answer:
    """The answer in a body that is no stream."""
    if reply.status != 200:
        return Answer("refused")
    if reply.broken:
        return Answer("cut")
    body = json.loads(reply.body)
    return reported("done", body["choices"][0]["message"]["content"], body["raglan"])


def reported(ending: Ending, text: str, report: dict[str, Any]) -> Answer:
    passages = tuple(passage["text"] for passage in report.get("passages", ()))
    return Answer(ending, text, passages, report.get("resumed_at") is not None, report.get("timings", {}))


def found(reply: Reply) -> list[str]:
    """The ids of the documents that a search found, best first."""
    if reply.status != 200 or reply.broken:
        return []
    return [hit["document_id"] for hit in json.loads(reply.body)["hits"]]
