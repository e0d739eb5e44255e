"""What a route knows of its request: the services, who calls, and how long it may take."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from app.connection import cancelled, while_connected
from app.errors import UnknownModel
from app.flagged import Flags
from app.services import ModelCard, Services
from rag.errors import DeadlineExceeded, StageFailed
from rag.types import Priority, RequestSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the key's name (None where no key is asked for), the tenant and the groups whose documents it sees.

    `policy` is what the key changes of the guardrails' policy, `priority` the class of its requests.
    """

    name: str | None
    tenant: str
    groups: tuple[str, ...] = ()
    policy: Mapping[str, Any] = field(default_factory=dict)
    reviewer: bool = False
    priority: Priority = "interactive"


@dataclass(frozen=True, slots=True)
class Context:
    """One request. `deadline` is in the event loop's time."""

    services: Services
    caller: Caller
    request_id: str
    request: Request
    deadline: float
    flags: Flags

    def card(self, model: str) -> ModelCard:
        """The model a request names. Raises UnknownModel."""
        if card := self.services.models.get(model):
            return card
        raise UnknownModel(f"There is no model named '{model[:100]}'.", "model")

    def settings(self, card: ModelCard) -> RequestSettings:
        """The defaults for `card`, what the caller may see, and the policy in force for it now."""
        seen = self.caller
        policy = self.services.policies.of(seen.policy)
        return replace(
            self.services.defaults,
            model=card.id,
            prompt=card.prompt,
            tenant=seen.tenant,
            groups=seen.groups,
            guard=policy.input,
            validate=policy.output,
            policy=policy.text,
            policy_digest=policy.digest,
            hold_json=policy.hold_json,
        )

    async def within(self, work: Coroutine[Any, Any, T], stage: str) -> T:
        """Await `work` to the deadline. Raises DeadlineExceeded, or StageFailed where it gave up; they name `stage`."""
        try:
            async with asyncio.timeout_at(self.deadline):
                return await work
        except TimeoutError as error:
            raise DeadlineExceeded(stage, "no answer in time") from error
        except asyncio.CancelledError as error:
            if cancelled():
                raise
            raise StageFailed(stage, "a stage gave up") from error

    async def attended(self, work: Coroutine[Any, Any, T], stage: str) -> T:
        """`within`, but `work` is cancelled as soon as the client hangs up. Raises ClientGone then."""
        return await while_connected(self.request.receive, self.within(work, stage))


async def context(request: Request) -> Context:
    services: Services = request.app.state.services
    deadline = asyncio.get_running_loop().time() + services.config.request_timeout_s
    return Context(services, request.state.caller, request.state.request_id, request, deadline, request.app.state.flags)


Here = Annotated[Context, Depends(context)]
