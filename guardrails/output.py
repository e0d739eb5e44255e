"""The output rail: judges each sentence of an answer against the passages it may cite, before it leaves."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from guardrails.config import Reaction, ValidateConfig
from guardrails.grounded import groundedness
from guardrails.input import react
from guardrails.leaks import Leaks
from guardrails.nemo import Rails, attempt, refuses
from rag.types import Check, Hit, RequestSettings, Verdict

CITED = re.compile(r"\[(\d{1,3})\]")
CODE = re.compile(r"`[^`\n]*`")
SURROGATE = re.compile("[\ud800-\udfff]")
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\U000e0020-\U000e007f]")
"""Terminal controls, direction overrides and tag characters: legal, and never needed in an answer."""


class OutputRails:
    """Role `Validator` of rag/stages.py."""

    def __init__(self, config: ValidateConfig) -> None:
        self.config = config
        self.leaks = Leaks(config.canaries, config.protected, config.leak_words)
        self.rails = Rails("output", self.judge)

    def load(self) -> None:
        """Build the NeMo rails; once, before the first sentence."""
        self.rails.load()

    async def validate(self, sentence: str, hits: Sequence[Hit], question: str, settings: RequestSettings) -> Verdict:
        """Judge `sentence`; `[n]` in it cites `hits[n - 1]`."""
        passages = [" ".join((h.passage.title, *h.passage.headings)) + "\n" + h.passage.text for h in hits]
        context = {"relevant_chunks": "\n\n".join(passages), "relevant_chunks_sep": passages}
        checks = await self.rails.run(
            [
                {"role": "context", "content": context},
                {"role": "user", "content": question},
                {"role": "assistant", "content": sentence},
            ]
        )
        return Verdict(not refuses(checks), checks, self.refusal(checks))

    def judge(self, text: str, context: Mapping[str, Any]) -> Iterator[Check]:
        """Make every configured check on a sentence; NeMo's context holds the passages and the question."""
        config = self.config
        passages: list[str] = context["relevant_chunks_sep"]
        question: str = context["user_message"]
        if config.characters != "off":
            yield attempt("characters", lambda: characters(text, config.characters))
        if config.leaks != "off":
            yield attempt("leaks", lambda: self.leak(text, [*passages, question]))
        if config.citations != "off":
            yield attempt("citations", lambda: citations(text, len(passages), config.citations))
        if config.groundedness != "off" and passages:
            yield attempt("groundedness", lambda: supported(text, passages, config))

    def leak(self, text: str, public: Sequence[str]) -> Check:
        """Whether `text` recites what must not leave and what nobody put in public."""
        told = self.leaks.find(text, public)
        return react("leaks", bool(told), self.config.leaks, float(bool(told)), told)

    def refusal(self, checks: Sequence[Check]) -> str:
        """What the user reads for the first check that refuses."""
        for check in checks:
            if check.action == "error":
                return self.config.unchecked
            if check.action == "block":
                return self.config.refusal
        return ""


def cited(text: str) -> list[int]:
    """The numbers of the citation markers in `text`; what stands in code is an index, not a citation."""
    return [int(n) for n in CITED.findall(CODE.sub("", text))]


def characters(text: str, reaction: Reaction) -> Check:
    """Whether `text` can be sent at all: lone surrogates are no valid text. Control characters are only flagged."""
    if SURROGATE.search(text):
        return react("characters", True, reaction, detail="lone surrogate")
    return react("characters", bool(CONTROL.search(text)), "flag", detail="control" if CONTROL.search(text) else "")


def citations(text: str, passages: int, reaction: Reaction) -> Check:
    """Whether every marker cites a passage there is; scored by the share that does."""
    markers = cited(text)
    wrong = [n for n in markers if not 1 <= n <= passages]
    score = 1 - len(wrong) / len(markers) if markers else None
    return react("citations", bool(wrong), reaction, score, ", ".join(f"[{n}]" for n in wrong))


def supported(text: str, passages: Sequence[str], config: ValidateConfig) -> Check:
    """Whether the passages that `text` cites, or all when it cites none that exists, support it."""
    own = [passages[n - 1] for n in cited(text) if 1 <= n <= len(passages)]
    judged = groundedness(text, own or passages)
    if judged is None:
        return Check("groundedness", "pass", detail="no claim")
    score, missing = judged
    return react("groundedness", score < config.min_groundedness, config.groundedness, score, missing)
