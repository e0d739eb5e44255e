"""The stages' roles played by Serve handles, for one request; Ray's errors become ours here and nowhere else."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from grpc import StatusCode
from grpc.aio import AioRpcError
from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RequestCancelledError
from ray.serve.handle import DeploymentHandle

from rag.errors import DeadlineExceeded, NotFound, Overloaded, RaglanError, StageFailed, StageUnavailable
from rag.stages import Embedder
from rag.types import (
    DocumentInfo,
    Embedded,
    Hit,
    Message,
    Passage,
    Piece,
    Prompt,
    RequestSettings,
    TokenVectors,
    Vector,
    Verdict,
)

T = TypeVar("T")
Carrier = dict[str, str]
BROKEN = frozenset({StatusCode.UNAVAILABLE, StatusCode.CANCELLED, StatusCode.INTERNAL, StatusCode.UNKNOWN})
"""How the connection to a replica ends that dies while it streams; Ray has an error only for the first of them."""


def translate(stage: str, error: Exception) -> Exception:
    """The domain error behind what a handle raised: ours as it is, else one that names the stage."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(cause, RaglanError):
        return cause
    if isinstance(error, BackPressureError):
        return Overloaded(stage)
    if isinstance(error, RayActorError | DeploymentUnavailableError) or connection_broke(error):
        return StageUnavailable(stage, "no replica could answer")
    if isinstance(error, TimeoutError):
        return DeadlineExceeded(stage, "no answer in time")
    return StageFailed(stage)


def connection_broke(error: Exception) -> bool:
    """Whether it was the way to the replica that failed."""
    return isinstance(error, AioRpcError) and error.code() in BROKEN


def has_replica(handle: DeploymentHandle) -> bool:
    """Whether Serve has told this process of a running replica; False before the handle was used. Asks nobody."""
    if not handle.is_initialized:
        return False
    router = handle._router._asyncio_router._request_router  # Ray has no public name for it
    return router is not None and bool(router.curr_replicas)


async def reply(stage: str, timeout_s: float, call: Callable[[], Awaitable[T]]) -> T:
    """Await a stage within its time; a dead replica's call is made once more, since every stage can be asked twice."""
    for last_try in (False, True):
        try:
            async with asyncio.timeout(timeout_s):
                return await call()
        except RequestCancelledError:
            raise asyncio.CancelledError from None
        except Exception as error:
            found = translate(stage, error)
            if last_try or not isinstance(found, StageUnavailable):
                raise found from error
    raise AssertionError


@dataclass(frozen=True, slots=True)
class Remote:
    """One deployment's role in one request. `carrier` takes the trace across."""

    stage: str
    handle: DeploymentHandle
    timeout_s: float = 30.0
    carrier: Carrier = field(default_factory=dict)

    async def ask(self, method: str, *args: Any) -> Any:
        """Call `method` on a replica, the trace's carrier last."""
        return await reply(self.stage, self.timeout_s, lambda: getattr(self.handle, method).remote(*args, self.carrier))


class RemoteEmbedder(Remote):
    """Role Embedder."""

    async def embed(self, texts: Sequence[str]) -> Vector:
        vectors: Vector = await self.ask("embed", list(texts))
        return vectors

    async def embed_questions(self, texts: Sequence[str]) -> list[Embedded]:
        questions: list[Embedded] = await self.ask("embed_questions", list(texts))
        return questions


@dataclass(frozen=True, slots=True, eq=False)
class BlockingEmbed:
    """`embedder` for code that runs in a thread beside `loop`, and waits."""

    embedder: Embedder
    loop: asyncio.AbstractEventLoop

    def __call__(self, texts: Sequence[str]) -> Vector:
        """Return float32 unit vectors of shape (len(texts), d). Raises what the stage raised."""
        return asyncio.run_coroutine_threadsafe(self.embedder.embed(texts), self.loop).result()


class RemoteGuard(Remote):
    """Role Guard."""

    async def check(self, messages: Sequence[Message], vector: Vector, settings: RequestSettings) -> Verdict:
        verdict: Verdict = await self.ask("check", list(messages), vector, settings)
        return verdict


class RemoteRetriever(Remote):
    """Roles Retriever and Library."""

    async def retrieve(self, question: str, vector: Vector, settings: RequestSettings) -> list[Hit]:
        hits: list[Hit] = await self.ask("retrieve", question, vector, settings)
        return hits

    async def upsert(self, passages: Sequence[Passage], vectors: Vector, groups: tuple[str, ...] | None = None) -> None:
        await reply(self.stage, self.timeout_s, lambda: self.handle.upsert.remote(list(passages), vectors, groups))

    async def delete(self, document_id: str, tenant: str, groups: tuple[str, ...] = ()) -> bool:
        """A replica that died over it may have removed the document: then the next one finds none, and it is gone."""
        tries = 0

        async def call() -> bool:
            nonlocal tries
            tries += 1
            return bool(await self.handle.delete.remote(document_id, tenant, groups))

        return await reply(self.stage, self.timeout_s, call) or tries > 1

    async def documents(self, tenant: str, groups: tuple[str, ...] = ()) -> list[DocumentInfo]:
        call = self.handle.documents.remote
        found: list[DocumentInfo] = await reply(self.stage, self.timeout_s, lambda: call(tenant, groups))
        return found

    async def hidden(self, ids: Sequence[str], tenant: str, groups: tuple[str, ...] = ()) -> list[str]:
        call = self.handle.hidden.remote
        found: list[str] = await reply(self.stage, self.timeout_s, lambda: call(list(ids), tenant, groups))
        return found


class RemoteReranker(Remote):
    """Role Reranker."""

    async def rerank(
        self, question: str, hits: Sequence[Hit], settings: RequestSettings, tokens: TokenVectors | None = None
    ) -> list[Hit]:
        ranked: list[Hit] = await self.ask("rerank", question, list(hits), settings, tokens)
        return ranked


class RemoteValidator(Remote):
    """Role Validator."""

    async def validate(self, sentence: str, hits: Sequence[Hit], question: str, settings: RequestSettings) -> Verdict:
        verdict: Verdict = await self.ask("validate", sentence, list(hits), question, settings)
        return verdict

    async def conforms(self, answer: str, settings: RequestSettings) -> Verdict:
        verdict: Verdict = await self.ask("conforms", answer, settings)
        return verdict


@dataclass(frozen=True, slots=True)
class RemoteLLM:
    """Role LLM over the engines' handles by model id, each already set to stream."""

    handles: Mapping[str, DeploymentHandle]

    async def generate(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        """Stream the answer; closing this cancels the call, and the engine stops."""
        if prompt.model not in self.handles:
            raise NotFound(f"the model {prompt.model!r} does not exist", "model")
        response = self.handles[prompt.model].generate.remote(prompt)
        try:
            async for piece in response:
                yield piece
        except RequestCancelledError:
            raise asyncio.CancelledError from None
        except Exception as error:
            raise translate("llm", error) from error
        finally:
            response.cancel()


def engine_handles(engines: Mapping[str, DeploymentHandle]) -> RemoteLLM:
    """Role LLM over the deployments of the engines, by model id."""
    return RemoteLLM({id: engine.options(stream=True, method_name="generate") for id, engine in engines.items()})
