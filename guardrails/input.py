"""The input rail: judges what is asked before the engine sees it. Its checks are plain functions of a text."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from guardrails.config import GuardConfig, Reaction
from guardrails.nemo import Rails, attempt, refuses
from guardrails.normalise import hidden, normalise
from guardrails.phrases import phrases
from guardrails.sensitive import find_secrets
from rag.types import Check, Message, RequestSettings, Vector, Verdict

REPETITION_FROM = 1_000
"""Characters below which a text is too short for its repetition to matter."""


class InputRails:
    """Role `Guard` of rag/stages.py."""

    def __init__(self, config: GuardConfig) -> None:
        self.config = config
        self.rails = Rails("input", self.judge)

    def load(self) -> None:
        """Build the NeMo rails; once, before the first check."""
        self.rails.load()

    async def check(self, messages: Sequence[Message], vector: Vector, settings: RequestSettings) -> Verdict:
        """Judge the user's messages. NeMo is given the last one: each earlier one would cost it milliseconds more.

        The earlier ones are judged beside it, since the engine reads them too. What assistants said is not: it may
        quote an attack that a document describes.
        """
        asked = [m.content for m in messages if m.role == "user"]
        question = asked.pop() if asked else ""
        checks = await self.rails.run(
            [{"role": "context", "content": {"earlier": asked}}, {"role": "user", "content": question}]
        )
        return Verdict(not refuses(checks), checks, self.refusal(checks))

    def judge(self, text: str, context: Mapping[str, Any]) -> Iterator[Check]:
        """Make every configured check on a question; `context["earlier"]` holds the user's earlier messages."""
        config = self.config
        asked = [*context["earlier"], text]
        if config.length != "off":
            made = attempt("length", lambda: length(asked, config))
            yield made
            if refuses([made]):
                return  # nothing reads a text over its limits
        if config.repetition != "off":
            yield attempt("repetition", lambda: repetition(text, config))
        if config.hidden != "off":
            yield attempt("hidden", lambda: tags(asked, config.hidden))
        if config.phrases != "off":
            yield attempt("phrases", lambda: attack(asked, config.phrases))
        if config.secrets != "off":
            yield attempt("secrets", lambda: secrets(text, config.secrets))

    def refusal(self, checks: Sequence[Check]) -> str:
        """What the user reads for the first check that refuses."""
        for check in checks:
            if check.action == "error":
                return self.config.unchecked
            if check.action == "block":
                return self.config.too_long if check.name in {"length", "repetition"} else self.config.refusal
        return ""


def react(name: str, hit: bool, reaction: Reaction, score: float | None = None, detail: str = "") -> Check:
    """The check `name`, which reacts when it hit."""
    return Check(name, reaction if hit and reaction != "off" else "pass", score, detail=detail)


def length(asked: Sequence[str], config: GuardConfig) -> Check:
    """Whether a message, or all of them, go over their limits; scored by the fuller of the two."""
    fill = max(
        max(map(len, asked)) / config.max_characters,
        sum(map(len, asked)) / config.max_history_characters,
    )
    return react("length", fill > 1, config.length, round(fill, 3))


def repetition(text: str, config: GuardConfig) -> Check:
    """Whether `text` says the same again and again; scored by the share that compression removes."""
    if len(text) < REPETITION_FROM:
        return Check("repetition", "pass", 0.0)
    raw = text.encode(errors="replace")
    share = 1 - len(zlib.compress(raw, 1)) / len(raw)
    return react("repetition", share > config.max_repetition, config.repetition, round(share, 3))


def tags(asked: Sequence[str], reaction: Reaction) -> Check:
    """Whether invisible tag characters are in the messages; scored by their number."""
    count = sum(map(hidden, asked))
    return react("hidden", count > 0, reaction, float(count))


def attack(asked: Sequence[str], reaction: Reaction) -> Check:
    """Whether a phrase of an attack is in the messages, also one that goes over from a message to the next."""
    seen = phrases(normalise("\n".join(asked)))
    if len(asked) > 1:
        seen += [name for name in phrases(normalise(asked[-1])) if name not in seen]
    return react("phrases", bool(seen), reaction, float(bool(seen)), ", ".join(seen))


def secrets(text: str, reaction: Reaction) -> Check:
    """Whether keys or tokens are in `text`; the detail names their kind, never themselves."""
    kinds = find_secrets(text)
    return react("secrets", bool(kinds), reaction, float(len(kinds)), ", ".join(kinds))
