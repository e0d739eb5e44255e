"""An application with Raglan's shape and no work in it: stages that sleep, and engines that report what ours do."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve import Application
from ray.serve.config import RequestRouterConfig
from ray.serve.handle import DeploymentHandle

from deployments.affinity import AffinityConfig
from deployments.autoscaling import LOAD, SLEEPS
from deployments.engine_load import Figures, ScalingConfig
from deployments.waking import Sleeper, Sleepers
from rag.types import Message, Piece, Prompt

SEATS = 4
"""Requests that a fake engine runs at once; the others wait in it."""
Handles = dict[str, DeploymentHandle]
STAGES = ("Embedder", "Reranker", "Validator")


class Stage:
    """Takes its time, and waits before a closed gate. Notes what it was asked in a file."""

    def __init__(self, folder: str, name: str) -> None:
        self.gate = Path(folder, f"closed-{name}")
        self.asked = Path(folder, f"asked-{name}")

    async def work(self) -> None:
        with self.asked.open("a") as file:
            file.write(".")
        while self.gate.exists():
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)


class Engine:
    """Streams a piece every tenth of a second. It has SEATS, and a KV cache that is full when they are taken."""

    def __init__(self, scaling: ScalingConfig) -> None:
        self.scaling = scaling
        self.seats = asyncio.Semaphore(SEATS)
        self.under_way = 0

    def record_autoscaling_stats(self) -> dict[str, float]:
        running = min(self.under_way, SEATS)
        figures = Figures(running, self.under_way - running, running / SEATS)
        return {LOAD: figures.load(self.scaling), SLEEPS: float(self.scaling.to_zero)}

    async def generate(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        self.under_way += 1
        try:
            async with self.seats:
                for n in range(prompt.max_tokens):
                    await asyncio.sleep(0.1)
                    yield Piece(f"{n} ")
        finally:
            self.under_way -= 1

    async def check_health(self) -> None: ...


class Front:
    """Runs a request through the stages and an engine, in Raglan's order."""

    def __init__(self, stages: Handles, engines: Handles, wake_s: float) -> None:
        self.stages = stages
        self.engines = {id: handle.options(stream=True) for id, handle in engines.items()}
        config = ScalingConfig(to_zero=True, wake_s=wake_s)
        self.sleepers = Sleepers({"sleeper": Sleeper("sleeper", engines["sleeper"], config)})

    async def ask(self, model: str, pieces: int, given_up_after: int | None = None) -> int:
        """The pieces that came; the stream is left after `given_up_after` of them."""
        await self.sleepers.awake(model)
        for name in STAGES[:2]:
            await self.stages[name].work.remote()
        came = 0
        response = self.engines[model].generate.remote(Prompt(model, (Message("user", "?"),), max_tokens=pieces))
        try:
            async for _ in response:
                came += 1
                if came == given_up_after:
                    break
        finally:
            response.cancel()
        await self.stages[STAGES[2]].work.remote()
        return came


def build(args: dict[str, Any]) -> Application:
    """`args`: the `folder` of the gates, and the seconds that a request waits for the sleeper, `wake_s`."""
    stages = {name: serve.deployment(Stage, name=name).bind(args["folder"], name) for name in STAGES}
    scaling = {"steady": ScalingConfig(waiting=2, kv_cache=0.9), "sleeper": ScalingConfig(to_zero=True)}
    engines = {id: serve.deployment(Engine, name=f"LLM:{id}").bind(config) for id, config in scaling.items()}
    return serve.deployment(Front, name="Ingress").bind(stages, engines, args["wake_s"])


class Twin:
    """Streams its own name."""

    async def generate(self, prompt: Prompt) -> AsyncGenerator[str]:
        await asyncio.sleep(0.05 * prompt.max_tokens)
        yield serve.get_replica_context().replica_id.unique_id

    async def check_health(self) -> None: ...


def build_twins(args: dict[str, Any]) -> Application:
    """Two replicas behind the router that `args` configure."""
    router = AffinityConfig.model_validate(args).router({})
    assert router is not None
    config = RequestRouterConfig(**router)
    return serve.deployment(Twin, name="LLM:twin", num_replicas=2, request_router_config=config).bind()
