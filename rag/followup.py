"""A follow-up question to a query that stands alone, by a rule or by a language model: search knows no conversation."""

import asyncio
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from rag.errors import RaglanError
from rag.prompt import JINJA, Evidence, PromptTemplate
from rag.sparse import STOPWORDS, TOKEN, stem, terms
from rag.stages import LLM
from rag.types import Message, Prompt

LOG = logging.getLogger(__name__)
TURNS = 4
"""Questions looked back at: a chain of follow-ups longer than this has lost its subject."""
BORROWED = 8
"""Most words taken from the conversation; more would drown the question's own."""
NAMES = 2
"""Most names of code taken from the last answer."""
TURN_CHARS = 2_000
"""Characters of an earlier turn that are read."""
WHOLE_CHARS = 300
"""A longer question says enough by itself."""
QUERY_CHARS = 500
"""A longer rewriting is not one question."""

ALWAYS = re.compile(r"(what|how) about\b|same\b|in that case\b|why not\b|since when\b", re.I)
"""Openings of a question that is nothing without the one before it."""
OFTEN = re.compile(r"(and|but|or|so|then|also|ok(ay)?|what if)\b", re.I)
"""Openings of one that may be whole all the same, where it says enough."""
NAME = re.compile(r"`([^`\s]{1,60})`")
REFERENCE = re.compile(
    r"\b(it|its|they|them|their|theirs|these|those|this|that|such|same|former|latter|else|another|others?|there"
    r"|instead(?! of)|(?:too|again)(?=\W*$))\b",
    re.I,
)
DETERMINERS = frozenset(("these", "those", "this", "such", "same", "another", "other"))
BE = frozenset(("is", "are", "was", "were"))
WORD = re.compile(r"\w+")
VERB = re.compile(r"\b(is|are|was|were|do|does|did|can|could|will|would|should|may|must|has|have|had)\b", re.I)
GENERIC_WORDS = """
again allow also another answer anything ask avoid bad best better big bigger case change choose configure cost
default detail differ difference different disable easy else enable enough exactly example explain fast file find fix
former get give good handle happen hard help instead know large larger latter less limit list long longer look lower
make many maximum mean mine minimum much need never number off often ok okay one ones option other others page place
please possible problem question quick raglan raise reason replace same say see set setting several short show slow
small smaller start still stop such switch take tell thanks thing time turn understand use usually value want way work
wrong yes yet"""
GENERIC = frozenset(stem(word) for word in GENERIC_WORDS.split())
"""Stems that ask about anything and so about nothing by themselves."""


class FollowupConfig(BaseModel):
    """How a question that depends on earlier ones becomes a search query."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["rule", "llm", "off"] = Field(
        "rule",
        description="'rule': join it with the words of earlier questions; 'llm': ask `model`, and fall back to the "
        "rule; 'off': search for the last message alone.",
    )
    model: str = Field("", description="Id of the configured model that rewrites; mode 'llm' only.")
    prompt: str = Field("standalone@1", description="Prompt of the rewriting; mode 'llm' only.")
    timeout_s: float = Field(
        3.0, gt=0, le=60, description="Longest wait for the model, in seconds; after it the rule decides."
    )
    max_tokens: int = Field(64, ge=8, le=512, description="Longest rewriting, in tokens.")

    @field_validator("mode", mode="before")
    @classmethod
    def _yaml_reads_off_as_false(cls, value: Any) -> Any:
        return "off" if value is False else value

    @model_validator(mode="after")
    def _llm_has_model(self) -> Self:
        if self.mode == "llm" and not self.model:
            raise ValueError("model: mode 'llm' needs one")
        return self


def standalone(messages: Sequence[Message]) -> str:
    """The last message, joined with words of earlier questions and of the last answer where it depends on them.

    `messages` ends with a user's. What needs nothing comes back unchanged, and so does a first question.
    """
    *earlier, last = messages
    asked = [n for n, message in enumerate(earlier) if message.role == "user"][-TURNS:]
    if not asked or not depends(last.content):
        return last.content
    words = list(subject(messages, asked))
    own = set(terms(last.content))
    borrowed = [word for word in dict.fromkeys(words) if not own.issuperset(terms(word))]
    return " ".join([*borrowed[:BORROWED], last.content])


def depends(question: str) -> bool:
    """Whether a question cannot be understood without what was said before it.

    One word alone cannot, but the name of something in code can.
    """
    if len(question) > WHOLE_CHARS:
        return False
    own = salient(question)
    opening = question.lstrip()
    if ALWAYS.match(opening) or (OFTEN.match(opening) and (len(own) < 3 or not VERB.search(question))):
        return True
    if not own or (len(terms(" ".join(own))) == 1 and not VERB.search(question)):
        return True
    return any(len(salient(question[:at])) < 2 for at in references(question))


def references(question: str) -> Iterator[int]:
    """Where words stand that point at something; those of 'a page that', 'this handbook' and 'is there' do not."""
    for match in REFERENCE.finditer(question):
        word = match[0].lower()
        before = next(iter(WORD.findall(question[: match.start()].lower())[-1:]), "")
        after = next(iter(WORD.findall(question[match.end() :].lower())), "")
        relative = word == "that" and bool(terms(before)) and not VERB.fullmatch(before)
        determiner = word in DETERMINERS and bool(salient(after)) and not after.endswith(("ed", "ing"))
        if not (relative or determiner or (word == "there" and {before, after} & BE)):
            yield match.start()


def subject(messages: Sequence[Message], asked: Sequence[int]) -> Iterator[str]:
    """What the conversation is about: the words of its questions back to one that stands alone, latest first.

    Then what the last answer names in code. A question without a verb asks the whole of the last one anew.
    """
    if not VERB.search(messages[-1].content):
        yield from (word for word in TOKEN.findall(messages[asked[-1]].content[:TURN_CHARS]) if terms(word))
    for n in reversed(asked):
        yield from salient(messages[n].content[:TURN_CHARS])
        if not depends(messages[n].content):
            break
    answers = [message.content[:TURN_CHARS] for message in messages[asked[-1] :] if message.role == "assistant"]
    yield from NAME.findall(" ".join(answers))[:NAMES]


def salient(text: str) -> list[str]:
    """The words of `text` that say what it is about, in order."""
    return [
        word
        for word in TOKEN.findall(text)
        if word.lower() not in STOPWORDS and stem(word.lower()) not in GENERIC and terms(word)
    ]


async def rewrite(messages: Sequence[Message], llm: LLM, template: PromptTemplate, config: FollowupConfig) -> str:
    """The last message as `config.model` words it to stand alone; `standalone` when that fails or takes too long.

    A first question is not sent to the model.
    """
    *earlier, last = messages
    if not any(message.role == "user" for message in earlier):
        return last.content
    turns = [
        Evidence(n, message.content[:TURN_CHARS], message.role)
        for n, message in enumerate(earlier[-2 * TURNS :], 1)
        if message.role != "system"
    ]
    system, user = (
        JINJA.from_string(part).render(evidence=turns, question=last.content)
        for part in (template.system, template.user)
    )
    prompt = Prompt(config.model, (Message("system", system), Message("user", user)), max_tokens=config.max_tokens)
    try:
        async with asyncio.timeout(config.timeout_s):
            async with aclosing(llm.generate(prompt)) as pieces:
                written = "".join([piece.text async for piece in pieces])
    except (RaglanError, TimeoutError) as error:
        LOG.warning("follow-up not rewritten, the rule decides: %s", type(error).__name__)
        return standalone(messages)
    query = next((line.strip().strip("\"'").strip() for line in written.splitlines() if line.strip()), "")
    return query if 0 < len(query) <= QUERY_CHARS else standalone(messages)
