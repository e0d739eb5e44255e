"""What stands between the engine's tokens and the client: mask, then validate sentence by sentence.

Sentence n is validated while sentence n + 1 is generated; nothing leaves before its sentence passed.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, fields, replace

from rag.citations import NUMBERS
from rag.consider import Considered
from rag.masking import Masking
from rag.stages import Stages
from rag.types import FinishReason, Piece, RequestSettings, Usage, Verdict

SENTENCE_END = re.compile(rf"(?:[.!?…][\"')\]]*(?:\s*[\[【]{NUMBERS}[\]】])*\s+|\n+)(?=[^\s\[【])")
MAX_SENTENCE = 400
"""Characters after which a text without a sentence end is judged as it stands."""
MAX_AHEAD = 4
"""Sentences that may wait for their verdict before the engine is held back."""
MAX_BEFORE = 400
"""Characters before a sentence that it is judged with."""
MAX_ORDERS = 8_000
"""Characters of a caller's system messages that a sentence is judged with."""


@dataclass(slots=True)
class Release:
    """What has left so far, on which verdicts, and how it ended."""

    text: str = ""
    finish_reason: FinishReason = "stop"
    usage: Usage = field(default_factory=Usage)
    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True, slots=True)
class SentenceSettings(RequestSettings):
    """A request's settings for one sentence, and what else it is judged by.

    `before` is the end of the answer's text up to the sentence, also where it has not left yet; `orders` is what the
    caller's own system messages say.
    """

    before: str = ""
    orders: str = ""


async def release(
    pieces: AsyncGenerator[Piece], stages: Stages, considered: Considered, settings: RequestSettings, done: Release
) -> AsyncGenerator[str]:
    """Yield text as it may leave; `done` knows it, and its verdict, before it does, and in the end how all ended.

    A blocked sentence ends the answer with its verdict's refusal. JSON by a schema leaves sentence by sentence too, and
    is judged by the schema at the end, unless the settings hold it back until then.
    """
    masking = Masking(stages.masker()) if settings.validate else None
    texts = masked(pieces, masking, done)
    held = bool(settings.schema) and settings.hold_json
    judge = judging(stages, considered, settings if held else replace(settings, schema=""))
    cut = whole if held else by_sentence
    steps = judged(cut(texts), judge) if settings.validate else unjudged(texts)
    async with aclosing(steps) as stream:
        async for sentence, verdict in stream:
            if verdict:
                done.verdicts += (verdict,)
            blocked = verdict is not None and not verdict.allowed
            text = leaving(sentence, verdict)
            done.text += text
            yield text
            if blocked:
                done.finish_reason = "content_filter"
                break
    if settings.validate and settings.schema and not held and done.finish_reason != "content_filter":
        done.verdicts += (await stages.validator.conforms(done.text, settings),)
    if masking:
        done.verdicts += (Verdict(True, (masking.check(),)),)


def judging(stages: Stages, considered: Considered, settings: RequestSettings) -> Callable[[str], Awaitable[Verdict]]:
    """What judges the sentences of one answer, given in order; each with what stands before it."""
    orders = "\n".join(message.content for message in considered.messages if message.role == "system")[:MAX_ORDERS]
    shared = {own.name: getattr(settings, own.name) for own in fields(settings)}
    before = ""

    def judge(sentence: str) -> Awaitable[Verdict]:
        nonlocal before
        own = SentenceSettings(**shared, before=before, orders=orders)
        before = (before + sentence)[-MAX_BEFORE:]
        return stages.validator.validate(sentence, considered.hits, considered.messages[-1].content, own)

    return judge


def leaving(sentence: str, verdict: Verdict | None) -> str:
    """What leaves for a sentence: itself, what a check made of it, or why it does not."""
    if verdict is None:
        return sentence
    if not verdict.allowed:
        return verdict.refusal
    return "".join(verdict.masked) if verdict.masked else sentence


async def masked(pieces: AsyncGenerator[Piece], masker: Masking | None, done: Release) -> AsyncGenerator[str]:
    """The pieces' text, by a masker without secrets and personal data; how it ended is noted in `done`."""
    async with aclosing(pieces) as stream:
        async for piece in stream:
            done.finish_reason = piece.finish_reason or done.finish_reason
            done.usage = piece.usage or done.usage
            if text := masker.feed(piece.text) if masker else piece.text:
                yield text
    if masker and (text := masker.flush()):
        yield text


async def whole(texts: AsyncGenerator[str]) -> AsyncGenerator[str]:
    """Everything at once: JSON by a schema is right or wrong as a whole."""
    async with aclosing(texts) as stream:
        if text := "".join([text async for text in stream]):
            yield text


async def by_sentence(texts: AsyncGenerator[str]) -> AsyncGenerator[str]:
    """Whole sentences with the space behind them. One ends only where the next begins: a citation may follow it."""
    rest = ""
    async with aclosing(texts) as stream:
        async for text in stream:
            rest += text
            begin = 0
            for match in SENTENCE_END.finditer(rest):
                yield rest[begin : match.end()]
                begin = match.end()
            rest = rest[begin:]
            if len(rest) > MAX_SENTENCE:
                yield rest
                rest = ""
    if rest:
        yield rest


async def unjudged(texts: AsyncGenerator[str]) -> AsyncGenerator[tuple[str, None]]:
    """Texts as they come."""
    async with aclosing(texts) as stream:
        async for text in stream:
            yield text, None


async def judged(
    sentences: AsyncGenerator[str], judge: Callable[[str], Awaitable[Verdict]]
) -> AsyncGenerator[tuple[str, Verdict]]:
    """Pair each sentence with its verdict, in order, reading at most MAX_AHEAD sentences ahead."""
    queue: asyncio.Queue[tuple[str, asyncio.Future[Verdict]] | None] = asyncio.Queue(MAX_AHEAD)

    async def read() -> None:
        try:
            async with aclosing(sentences) as stream:
                async for sentence in stream:
                    verdict = asyncio.ensure_future(judge(sentence))
                    try:
                        await queue.put((sentence, verdict))
                    except asyncio.CancelledError:
                        verdict.cancel()
                        raise
        finally:
            await queue.put(None)

    reader = asyncio.ensure_future(read())
    try:
        while (step := await queue.get()) is not None:
            yield step[0], await step[1]
        await reader
    finally:
        reader.cancel()
        while not queue.empty():
            if (step := queue.get_nowait()) is not None:
                step[1].cancel()
        await asyncio.gather(reader, return_exceptions=True)
