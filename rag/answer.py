"""The whole way of one question, on one screen. Its stages come as arguments: it knows neither Ray nor HTTP."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from rag.citations import markers
from rag.consider import Clock, Considered, consider
from rag.generate import Generation
from rag.release import Release, release
from rag.screen import screen
from rag.stages import PromptWriter, Stages, Trace
from rag.types import FinishReason, Hit, Message, Piece, Prompt, RequestSettings, Usage, Verdict

LONG = 20_000
"""Characters of a conversation and its passages that are counted in some ten milliseconds."""


@dataclass(frozen=True, slots=True)
class Citation:
    """`answer[start:end]` is a marker such as `[2]`; it cites `hit`. A marker with several numbers is told for each."""

    start: int
    end: int
    hit: Hit


@dataclass(frozen=True, slots=True)
class Begin:
    """The first event: everything before the first text is done."""

    hits: tuple[Hit, ...]
    timings: dict[str, float]


@dataclass(frozen=True, slots=True)
class Text:
    """Text that may leave."""

    text: str


@dataclass(frozen=True, slots=True)
class End:
    """The last event. `timings` are milliseconds by stage; `verdicts` tell every check that was made, by side.

    `degraded` names the stages that the answer had to do without; `query` is what was searched for. `resumed_at` is the
    character of the generated text at which a second engine went on, None where the first one ended it.
    """

    finish_reason: FinishReason
    text: str
    usage: Usage
    hits: tuple[Hit, ...]
    citations: tuple[Citation, ...]
    verdicts: dict[str, tuple[Verdict, ...]]
    timings: dict[str, float]
    degraded: tuple[str, ...] = ()
    query: str = ""
    resumed_at: int | None = None


Event = Begin | Text | End


@dataclass(slots=True)
class Seen:
    """An answer on its way: what is known of it also where it never ends. `considered` is None before the guard."""

    clock: Clock = field(default_factory=Clock)
    considered: Considered | None = None
    final: Release = field(default_factory=Release)

    def end(self) -> End | None:
        """What an End would tell now; None where nothing was judged yet."""
        return conclude(self.final, self.considered, self.clock) if self.considered else None


async def answer(
    draft: Prompt, settings: RequestSettings, stages: Stages, trace: Trace, seen: Seen
) -> AsyncGenerator[Event]:
    """Answer the conversation in `draft.messages`: Begin, then Text, then End. `seen`, a new one, is filled on the way.

    `draft` carries the user's own messages and sampling; its messages are replaced by the rendered prompt.
    Raises the errors of `rag.errors`, before Begin where no text has left. Closing the iterator stops every stage.
    """
    clock, final = seen.clock, seen.final
    seen.considered = considered = await consider(draft, settings, stages, clock)
    verdict = considered.verdict
    if not verdict.allowed:
        final.text, final.finish_reason = verdict.refusal, "content_filter"
        yield begin(considered, clock)
        yield Text(final.text)
        yield conclude(final, considered, clock)
        return
    seen.considered = considered = await screen(considered, settings, stages, trace, clock)
    draft = replace(draft, messages=considered.messages)
    messages = await written(draft, considered.hits, settings, stages.prompts)
    prompt = replace(draft, messages=messages)
    generation = Generation(stages.llm, prompt, settings.resume_wait_s)
    observed = trace.start(
        "generate",
        "generation",
        input=messages,
        model=settings.model,
        prompt=settings.prompt,
        model_parameters={"temperature": draft.temperature, "top_p": draft.top_p, "max_tokens": draft.max_tokens},
    )
    try:
        pieces = timed(generation.pieces(), clock)
        async with aclosing(release(pieces, stages, considered, settings, final)) as stream:
            async for text in stream:
                if "ttft" not in clock.ms:
                    yield begin(considered, clock)
                yield Text(text)
    except (GeneratorExit, asyncio.CancelledError):
        observed.end(level="WARNING", status_message="cancelled", **resumption(generation))
        raise
    except Exception as error:
        observed.end(level="ERROR", status_message=type(error).__name__, **resumption(generation))
        raise
    usage = final.usage
    observed.end(
        output=final.text,
        usage_details={"input": usage.prompt_tokens, "output": usage.completion_tokens},
        completion_start_time=clock.first_token,
        finish_reason=final.finish_reason,
        **resumption(generation),
    )
    if "ttft" not in clock.ms:
        yield begin(considered, clock)
    yield conclude(final, considered, clock, generation.resumed_at)


async def written(
    draft: Prompt, hits: Sequence[Hit], settings: RequestSettings, prompts: PromptWriter
) -> tuple[Message, ...]:
    """The prompt's messages. What is long is counted in a thread: other answers' streams go on meanwhile."""
    write = partial(prompts.write, draft.messages, hits, settings, draft.max_tokens)
    texts = [message.content for message in draft.messages] + [hit.passage.text for hit in hits]
    if sum(map(len, texts)) > LONG:
        return await asyncio.to_thread(write)
    return write()


def begin(considered: Considered, clock: Clock) -> Begin:
    """The first event, now."""
    clock.mark("ttft")
    return Begin(tuple(considered.hits), dict(clock.ms))


def resumption(generation: Generation) -> dict[str, int]:
    """What a trace says of a generation that a second engine went on with."""
    return {} if generation.resumed_at is None else {"resumed_at": generation.resumed_at}


async def timed(pieces: AsyncGenerator[Piece], clock: Clock) -> AsyncGenerator[Piece]:
    """Note the engine's time to first token, and its own queue time where it tells."""
    begin = time.perf_counter()
    async with aclosing(pieces) as stream:
        async for piece in stream:
            if piece.text and "llm_ttft" not in clock.ms:
                clock.mark("llm_ttft", begin)
                clock.first_token = datetime.now(UTC)
            if piece.queue_ms is not None:
                clock.ms["queue"] = round(piece.queue_ms, 3)
            yield piece
    clock.mark("generate", begin)


def conclude(final: Release, considered: Considered, clock: Clock, resumed_at: int | None = None) -> End:
    """The last event: citations are the markers of the text that left whose number exists."""
    clock.mark("total")
    hits = considered.hits
    marks = [(m, n) for m, numbers in markers(final.text) for n in numbers]
    return End(
        finish_reason=final.finish_reason,
        text=final.text,
        usage=final.usage,
        hits=tuple(hits),
        citations=tuple(Citation(m.start(), m.end(), hits[n - 1]) for m, n in marks if 0 < n <= len(hits)),
        verdicts={"input": (considered.verdict,), "passages": considered.screened, "output": final.verdicts},
        timings=dict(clock.ms),
        degraded=tuple(clock.degraded),
        query=considered.query,
        resumed_at=resumed_at,
    )
