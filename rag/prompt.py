"""Versioned prompt templates, and the messages they make of a conversation and its hits, within a token budget."""

import re
import string
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

import yaml
from jinja2 import StrictUndefined, Template, TemplateSyntaxError
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import SandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field, field_validator

from rag.errors import NotFound, PromptTooLong
from rag.sentences import sentences
from rag.sparse import terms
from rag.types import Hit, Message, RequestSettings, Sentence

JINJA = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
TOKENS_PER_MESSAGE = 8
"""What a chat template adds around a message; the widest of the common ones (Llama 3, Qwen, ChatML) add 5 to 7."""

TAG = re.compile(r"<(?=\s*(?:/\s*)?passage)", re.I)
COUNTED = 256
"""Latest texts whose counts are remembered while one prompt is fitted."""

PLAIN, DIGITS = f"{string.ascii_letters}{string.whitespace}".encode(), string.digits.encode()
CountTokens = Callable[[str], int]


class PromptTemplate(BaseModel):
    """A file `prompts/NAME@VERSION.yaml`; Jinja templates over `evidence` (n, text, title) and `question`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = Field(description="What the prompt is for.")
    evidence: Literal["sentences", "passages"] = Field(
        description="`sentences`: the best sentences of all hits; `passages`: whole hits."
    )
    max_evidence: int = Field(ge=1, le=64, description="Most evidence entries.")
    system: str = Field("", description="System message; empty: none.")
    user: str = Field("{{ question }}", description="What the last user message becomes.")

    @field_validator("system", "user")
    @classmethod
    def _compiles(cls, text: str) -> str:
        try:
            JINJA.compile(text)
            unknown = find_undeclared_variables(JINJA.parse(text)) - {"evidence", "question", *JINJA.globals}
        except TemplateSyntaxError as error:
            raise ValueError(f"line {error.lineno} of the template: {error.message}") from error
        if unknown:
            raise ValueError(f"unknown variables: {', '.join(sorted(unknown))}")
        return text

    @property
    def texts(self) -> tuple[str, ...]:
        """What the template itself tells an engine, with its markup."""
        return tuple(text for text in (self.system, self.user) if text)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One entry: `n` is the citation number, the hit's place counted from 1."""

    n: int
    text: str
    title: str


def load_templates(folder: Path) -> dict[str, PromptTemplate]:
    """Read every `NAME@VERSION.yaml` of `folder`, by `NAME@VERSION`. Raises ValueError that names a bad file."""
    templates = {}
    for path in sorted(folder.glob("*@*.yaml")):
        try:
            templates[path.stem] = PromptTemplate.model_validate(yaml.safe_load(path.read_text()))
        except ValueError as error:
            raise ValueError(f"prompt {path.name}: {error}") from error
    return templates


def quotes(hits: Sequence[Hit], most: int, question: str) -> list[Evidence]:
    """The best-scored sentences of all hits, best first."""
    scored = [
        (s.score, Evidence(n, " ".join(hit.passage.text[s.start : s.end].split()), hit.passage.title))
        for n, hit in enumerate(hits, 1)
        for s in hit.sentences or by_words(hit.passage.text, question)
    ]
    return [e for _, e in sorted(scored, key=lambda pair: -pair[0])[:most]]


def by_words(text: str, question: str) -> list[Sentence]:
    """The prose of a passage that no reranker has read, scored by the share of the question's terms it holds."""
    asked = frozenset(terms(question))
    return [
        Sentence(span.start, span.end, len(asked & frozenset(terms(text[span.start : span.end]))) / (len(asked) or 1))
        for span in sentences(text)
        if span.kind == "prose"
    ]


def passages(hits: Sequence[Hit], most: int, question: str) -> list[Evidence]:
    """The hits as they stand. A document can neither close a passage's block nor open one: their `<` is escaped."""
    escaped = partial(TAG.sub, "&lt;")
    return [
        Evidence(n, escaped(hit.passage.text), escaped(" ".join(hit.passage.title.split())).replace('"', "'"))
        for n, hit in enumerate(hits[:most], 1)
    ]


class PromptBook:
    """Role PromptWriter over templates; `contexts` and `counters` are the models' sizes and token counters by id."""

    def __init__(
        self,
        templates: Mapping[str, PromptTemplate],
        contexts: Mapping[str, int],
        counters: Mapping[str, CountTokens],
    ) -> None:
        self.templates = templates
        self.contexts = contexts
        self.counters = counters
        self.compiled: dict[str, tuple[Template, Template]] = {
            name: (JINJA.from_string(t.system), JINJA.from_string(t.user)) for name, t in templates.items()
        }

    def write(
        self, messages: Sequence[Message], hits: Sequence[Hit], settings: RequestSettings, max_tokens: int
    ) -> tuple[Message, ...]:
        """Drop the weakest evidence, then the oldest turns, until the prompt fits. Raises PromptTooLong, NotFound.

        The client's own system messages stay, and a turn's answer goes with its question.
        """
        if settings.prompt not in self.templates:
            raise NotFound(f"no prompt {settings.prompt}", "prompt")
        template = self.templates[settings.prompt]
        pick = quotes if template.evidence == "sentences" else passages
        evidence = pick(hits, template.max_evidence, messages[-1].content)
        count = lru_cache(COUNTED)(self.counters[settings.model])
        room = self.contexts[settings.model] - max_tokens
        turns = list(messages)

        def too_long(most: int) -> bool:
            return not fits(self._render(settings.prompt, turns, evidence[:most]), room, count)

        if evidence and too_long(len(evidence)):
            evidence = evidence[: max(0, bisect_left(range(len(evidence)), True, key=too_long) - 1)]
        while True:
            prompt = self._render(settings.prompt, turns, evidence)
            if fits(prompt, room, count):
                return prompt
            if any(turn.role != "system" for turn in turns[:-1]):
                turns = without_oldest(turns)
            else:
                raise PromptTooLong(
                    f"the message and max_tokens={max_tokens} do not fit the model's context of "
                    f"{self.contexts[settings.model]} tokens",
                    "messages",
                )

    def _render(self, name: str, turns: Sequence[Message], evidence: Sequence[Evidence]) -> tuple[Message, ...]:
        system, user = self.compiled[name]
        *earlier, last = turns
        first = system.render(evidence=evidence, question=last.content)
        asked = user.render(evidence=evidence, question=last.content)
        return (
            *((Message("system", first),) if first else ()),
            *earlier,
            Message("user", asked),
        )


def without_oldest(turns: Sequence[Message]) -> list[Message]:
    """The conversation without its first question and what follows up to the next; system messages stay."""
    said = [n for n, turn in enumerate(turns) if turn.role != "system"]
    until = next((n for n in said[1:] if turns[n].role == "user"), said[-1])
    return [turn for n, turn in enumerate(turns) if turn.role == "system" or n >= until]


def fits(prompt: Sequence[Message], room: int, count: CountTokens) -> bool:
    """Whether the prompt has at most `room` tokens. No token is shorter than a byte: most prompts need no counting.

    The newest messages are counted first, and none after `room` is used up.
    """
    left = room - TOKENS_PER_MESSAGE * len(prompt)
    if sum(len(m.content) for m in prompt) <= left and sum(len(m.content.encode()) for m in prompt) <= left:
        return True
    for message in reversed(prompt):
        left -= count(message.content)
        if left < 0:
            return False
    return True


def estimated(text: str) -> int:
    """More tokens than common tokenizers make: one for 3 letters or blanks, one for a digit, one for 2 other bytes."""
    raw = text.encode()
    other = len(raw.translate(None, PLAIN))
    digits = len(raw) - len(raw.translate(None, DIGITS))
    return (len(raw) - other) // 3 + (other - digits) // 2 + digits + 1


def token_counter(tokenizer_file: Path | None) -> CountTokens:
    """Count with the model's own `tokenizer.json`, or `estimated` without one."""
    if tokenizer_file is None or not tokenizer_file.exists():
        return estimated
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    # Of a batch, since `encode` keeps every other thread from running.
    return lambda text: len(tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids)
