"""HTTP replicas: each runs the whole of `rag/answer.py` in process and reaches the other stages by handle."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle

from app.application import create_app
from app.feedback_file import FileFeedback
from app.review_file import FileReviews
from app.services import Dependency, ModelCard, Services
from deployments.admission_metrics import AdmissionMetrics
from deployments.handles import (
    BlockingEmbed,
    RemoteEmbedder,
    RemoteGuard,
    RemoteReranker,
    RemoteRetriever,
    RemoteValidator,
    engine_handles,
    has_replica,
)
from deployments.logs import log_to_serve
from deployments.screener import Screener
from deployments.settings import Settings, absolute
from deployments.tracing import make_tracer
from deployments.waking import Sleeper, Sleepers
from guardrails.mask import StreamMasker, mask
from guardrails.passage_scores import PassageScores
from rag.admission import Admission
from rag.embed import BUNDLED, TokenCounter
from rag.followup import rewrite
from rag.ingest import Ingestor
from rag.prompt import PromptBook, token_counter
from rag.read import read_documents
from rag.stages import Stages, Trace

READY_TIMEOUT_S = 2.0


@serve.ingress()
class Ingress:
    """Holds no state but the configuration."""

    def __init__(self, settings: Settings, handles: Mapping[str, DeploymentHandle]) -> None:
        """`handles` are the stages' by deployment name; the engines' names are `LLM:` and the model's id."""
        log_to_serve()
        self.tracer = make_tracer(settings.tracing, mask)
        self.policies = settings.policies()
        self.started = False
        self.handles = handles
        self.settings = settings
        self.prompts = PromptBook(
            settings.templates(),
            {m.id: m.context for m in settings.models},
            {m.id: token_counter(Path(m.path) / "tokenizer.json") for m in settings.models},
        )
        self.sleepers = Sleepers(
            {m.id: Sleeper(m.id, handles[f"LLM:{m.id}"], m.scaling) for m in settings.models if m.scaling.to_zero}
        )
        self.llm = engine_handles({m.id: handles[f"LLM:{m.id}"] for m in settings.models})
        template = self.prompts.templates[settings.followup.prompt]
        self.rewriter = partial(rewrite, llm=self.llm, template=template, config=settings.followup)

    async def __serve_build_asgi_app__(self) -> FastAPI:
        embedder = RemoteEmbedder("embed", self.handles["Embedder"], self.settings.stage_timeout_s)
        embed = BlockingEmbed(embedder, asyncio.get_running_loop())
        bundled = self.settings.embed.model == BUNDLED
        self.screener, self.scanner = Screener(embed, bundled), PassageScores(embed, bundled)
        return create_app(self.services())

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Put a changed policy in force for the questions to come: `user_config` is `{"policy": {...}}`.

        Serve stops a replica whose reconfigure raises, and so a wrong policy would stop one after the other: one that
        runs keeps its policy and says so in the log and in /readyz. One that starts with a wrong policy raises and
        never serves.
        """
        self.policies.reload(user_config, running=self.started)

    def stages(self, trace: Trace) -> Stages:
        """The roles, bound to one request's trace."""
        timeout, carrier = self.settings.stage_timeout_s, trace.carrier
        return Stages(
            prompts=self.prompts,
            masker=StreamMasker,
            rewriter=self.rewriter,
            embedder=RemoteEmbedder("embed", self.handles["Embedder"], timeout, carrier),
            guard=RemoteGuard("guard", self.handles["Guard"], timeout, carrier),
            retriever=RemoteRetriever("retrieve", self.handles["Retriever"], timeout, carrier),
            reranker=RemoteReranker("rerank", self.handles["Reranker"], timeout, carrier),
            screener=self.screener,
            llm=self.llm,
            validator=RemoteValidator("validate", self.handles["Validator"], timeout, carrier),
        )

    def services(self) -> Services:
        """What the HTTP layer is given."""
        settings = self.settings
        timeout = settings.http.request_timeout_s
        embedder = RemoteEmbedder("embed", self.handles["Embedder"], timeout)
        library = RemoteRetriever("retrieve", self.handles["Retriever"], timeout)
        first, metrics = settings.models[0], AdmissionMetrics()
        defaults = replace(
            settings.retrieve.defaults(first.id, first.prompt),
            followup=settings.followup.mode,
            resume_wait_s=settings.resume_wait_s,
        )
        return Services(
            config=settings.http,
            models={m.id: ModelCard(m.id, m.prompt, m.context) for m in settings.models},
            defaults=defaults,
            policies=self.policies,
            admission=Admission(settings.admission, told=metrics.note, waits=metrics.wait),
            stages=self.stages,
            embedder=embedder,
            embedding_model=settings.embed.model,
            count_tokens=TokenCounter(settings.embed),
            library=library,
            ingestor=Ingestor(embedder, library, settings.chunk, settings.embed, self.scanner),
            read=partial(read_documents, limits=settings.read),
            tracer=self.tracer,
            feedback=FileFeedback(absolute(settings.feedback_path)),
            reviews=FileReviews(absolute(settings.reviews_path), settings.reviews_max_bytes),
            mask=mask,
            awake=self.sleepers.awake,
            dependencies=self.dependencies,
            digest=settings.digest,
        )

    async def dependencies(self) -> list[Dependency]:
        """Ask every stage for a sign of life, side by side. A model that may sleep is let sleep.

        The Retriever's comes from its store. A stage whose replicas are too busy to give it is ready. The line of the
        policy is this replica's own: what is in force, and why the last change is not.
        """

        async def ask(name: str, handle: DeploymentHandle) -> Dependency:
            limit = asyncio.timeout(READY_TIMEOUT_S)
            try:
                async with limit:
                    await (handle.ready if name == "Retriever" else handle.check_health).remote()
            except Exception as error:  # whatever is wrong, the line says so
                queued = limit.expired() or isinstance(error, BackPressureError)
                busy = queued and has_replica(handle)
                return Dependency(name, busy, "busy" if busy else type(error).__name__)
            return Dependency(name, True)

        asleep = [Dependency(f"LLM:{id}", True, "may have no replica") for id in self.sleepers.models]
        asked = [ask(n, h) for n, h in self.handles.items() if n not in {line.name for line in asleep}]
        return [*await asyncio.gather(*asked), *asleep, Dependency("policy", True, self.policies.state)]

    async def check_health(self) -> None:
        """Alive as long as the event loop runs. Serve asks first when it has configured a new replica."""
        self.started = True
        self.screener.rails.workers.check_health()

    def __del__(self) -> None:
        self.tracer.close()
