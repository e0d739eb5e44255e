"""One chat request, resolved: which model and settings answer it, under which id, watched by which trace."""

import time
import uuid
from asyncio import CancelledError
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from app.chat_rules import check
from app.chat_schema import TIERS, ChatRequest, text_of
from app.completion import AnswerMessage, ChatCompletion, Choice, Report, annotations, guard, scored, usage
from app.context import Context
from app.entry import Entry
from app.flagged import Exchange
from app.services import ModelCard
from rag.answer import End, Event, Seen, answer
from rag.stages import Trace
from rag.types import Message, Prompt, RequestSettings, Role

DEFAULT_MAX_TOKENS = 512
ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


@dataclass(frozen=True, slots=True)
class Turn:
    """A question on its way. `created` is in Unix seconds."""

    id: str
    created: int
    draft: Prompt
    settings: RequestSettings
    release: str
    trace: Trace
    include_usage: bool
    entry: Entry

    def report(self, end: End) -> Report:
        """The answer's `raglan` object."""
        return Report(
            trace_id=self.trace.id,
            release=self.release,
            model=self.settings.model,
            prompt=self.settings.prompt,
            timings=end.timings,
            query=end.query,
            degraded=list(end.degraded),
            resumed_at=end.resumed_at,
            passages=scored(end.hits),
            guard=guard(end.verdicts, self.settings.policy_digest),
        )

    def completion(self, end: End) -> ChatCompletion:
        """The whole answer."""
        message = AnswerMessage(content=end.text, annotations=annotations(end))
        return ChatCompletion(
            id=self.id,
            created=self.created,
            model=self.settings.model,
            service_tier=TIERS[self.draft.priority],
            choices=[Choice(message=message, finish_reason=end.finish_reason)],
            usage=usage(end),
            raglan=self.report(end),
        )


async def open_turn(body: ChatRequest, context: Context, entry: Entry) -> Turn:
    """Resolve a request. Raises what is wrong with it, ModelAsleep and Overloaded, all before a trace is opened.

    A model is woken before the request takes its place, so that the wait is not taken for the engine's slowness.
    """
    services = context.services
    card = context.card(body.model)
    await check(body, card, services.config)
    await services.awake(card.id)
    priority = body.priority(context.caller.priority)
    if priority == "interactive":
        entry.take(card.id)
    else:
        await context.attended(entry.wait(card.id), "admission")
    identity = f"chatcmpl-{uuid.uuid4().hex}"
    draft = replace(draft_prompt(body, card, identity), priority=priority)
    settings = choose(body, context.settings(card))
    metadata = {
        "request_id": context.request_id,
        "tenant": settings.tenant,
        "release": services.digest,
        "policy": settings.policy_digest,
        "priority": priority,
    }
    if context.caller.name and body.user:
        metadata["end_user"] = body.user
    trace = services.tracer.start(
        "chat", draft.messages[-1].content, context.caller.name or body.user, body.raglan.session_id, metadata
    )
    include_usage = bool(body.stream_options and body.stream_options.include_usage)
    return Turn(identity, int(time.time()), draft, settings, services.digest, trace, include_usage, entry)


def draft_prompt(body: ChatRequest, card: ModelCard, identity: str) -> Prompt:
    """The caller's own messages and sampling."""
    return Prompt(
        model=card.id,
        messages=tuple(Message(ROLES[m.role], text_of(m)) for m in body.messages),
        max_tokens=body.max_tokens or body.max_completion_tokens or min(DEFAULT_MAX_TOKENS, card.context // 4),
        temperature=float(body.temperature or 0),
        top_p=float(1 if body.top_p is None else body.top_p),
        stop=body.stops(),
        seed=body.seed,
        schema=body.schema_text(),
        request_id=identity,
    )


def choose(body: ChatRequest, settings: RequestSettings) -> RequestSettings:
    """The settings with the request's own wishes."""
    options = body.raglan
    retrieve = settings.retrieve if options.retrieve is None else options.retrieve
    top_k = options.top_k or settings.top_k
    wanted = options.filter.filter() if options.filter else settings.filter
    candidates = max(settings.candidates, top_k)
    schema = body.schema_text() or ""
    return replace(settings, retrieve=retrieve, top_k=top_k, candidates=candidates, filter=wanted, schema=schema)


async def events(turn: Turn, context: Context) -> AsyncGenerator[Event]:
    """The answer's events; the trace ends with its text, or with why there is none."""
    fields: dict[str, str] = {"level": "WARNING", "status_message": "nobody waited for the end"}
    output: str | None = None
    seen = Seen()
    try:
        stages = context.services.stages(turn.trace)
        async with aclosing(answer(turn.draft, turn.settings, stages, turn.trace, seen)) as stream:
            async for event in stream:
                turn.entry.note(event, turn.settings)
                if isinstance(event, End):
                    output, fields = event.text, {}
                    await context.flags.note(exchange(turn, event, context))
                yield event
    except (GeneratorExit, CancelledError):
        raise
    except BaseException as error:
        fields = {"level": "ERROR", "status_message": type(error).__name__}
        raise
    finally:
        if output is None and (end := seen.end()):
            context.flags.begin(exchange(turn, end, context, cut_off=True))
        turn.trace.end(output, **fields)


def exchange(turn: Turn, end: End, context: Context, cut_off: bool = False) -> Exchange:
    """What a reviewer would see of it."""
    caller = context.caller
    return Exchange(
        trace_id=turn.trace.id,
        request_id=context.request_id,
        user=caller.name,
        tenant=caller.tenant,
        groups=caller.groups,
        model=turn.settings.model,
        release=turn.release,
        policy=turn.settings.policy_digest,
        messages=turn.draft.messages,
        end=end,
        cut_off=cut_off,
    )
