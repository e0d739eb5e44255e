"""A Serve of one node that scales tests/cluster/scaled_app.py by our policy. Writes what was seen into a file."""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.serve._private import api
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import ServeDeploySchema

from tests.cluster import affinity_scene
from tests.cluster.scaled_app import STAGES

APP = "scaled"
LIMIT_S = 40.0
QUICK = {"look_back_period_s": 2, "metrics_interval_s": 0.5, "upscale_delay_s": 0.5, "downscale_delay_s": 2}
STEP = [*STAGES, "LLM:steady"]
Counts = dict[str, int]


def config(folder: Path) -> ServeDeploySchema:
    """Every stage of one or two replicas; the second model may have none."""

    def deployment(name: str, target: float, bounds: tuple[int, int], **more: Any) -> dict[str, Any]:
        low, high = bounds
        scaling = {**QUICK, "min_replicas": low, "max_replicas": high, "target_ongoing_requests": target}
        return {"name": name, "autoscaling_config": scaling, "ray_actor_options": {"num_cpus": 0}, **more}

    deployments = [
        deployment("Ingress", 100, (2, 2), max_ongoing_requests=200),
        *(deployment(name, 3, (1, 2), max_ongoing_requests=50) for name in STAGES),
        deployment("LLM:steady", 8, (1, 2), max_ongoing_requests=6),
        deployment("LLM:sleeper", 8, (0, 1), max_ongoing_requests=2),
    ]
    application = {
        "name": APP,
        "route_prefix": None,
        "import_path": "tests.cluster.scaled_app:build",
        "args": {"folder": str(folder), "wake_s": 20},
        "autoscaling_policy": {"policy_function": "deployments.autoscaling:in_step"},
        "deployments": deployments,
    }
    return ServeDeploySchema.model_validate({"applications": [application, affinity_scene.APPLICATION]})


class Watch:
    """The replicas that are aimed at and that run, by deployment."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.history: list[Counts] = []

    def aimed(self) -> Counts:
        details = self.client.get_serve_details()["applications"][APP]["deployments"]
        counts = {name: found["target_num_replicas"] for name, found in details.items()}
        if not self.history or counts != self.history[-1]:
            self.history.append(counts)
        return counts

    def running(self) -> Counts:
        found = serve.status().applications[APP].deployments
        return {name: one.replica_states.get("RUNNING", 0) for name, one in found.items()}

    async def until(self, done: Callable[[], bool]) -> bool:
        """Whether `done` came about in time."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            if await asyncio.to_thread(done):
                return True
            await asyncio.sleep(0.1)
        return False


@asynccontextmanager
async def steadily(
    front: DeploymentHandle, clients: int, model: str, pieces: int, given_up_after: int | None
) -> AsyncGenerator[None]:
    """So many clients that ask the model one question after the other."""
    over = asyncio.Event()

    async def client(number: int) -> None:
        await asyncio.sleep(number / clients)
        while not over.is_set():
            await front.ask.remote(model, pieces, given_up_after)

    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(client(number))
        yield
        over.set()


def asked(folder: Path) -> Counts:
    """How often each stage was called."""
    files = {name: folder / f"asked-{name}" for name in STAGES}
    return {name: len(file.read_text()) if file.exists() else 0 for name, file in files.items()}


async def play(watch: Watch, front: DeploymentHandle, folder: Path) -> dict[str, Any]:
    """Little load, then much of it held up at the first stage, then set free; then none."""
    seen: dict[str, Any] = {"first": watch.aimed()}
    async with steadily(front, 4, "steady", 3, None):
        await asyncio.sleep(6)
    seen["little"] = watch.aimed()
    gate = folder / f"closed-{STAGES[0]}"
    gate.touch()
    before = asked(folder)
    async with steadily(front, 30, "steady", 6, 4):
        seen["in_step"] = await watch.until(lambda: all(watch.aimed()[name] == 2 for name in STEP))
        seen["held"] = watch.aimed()
        seen["passed"] = {name: count - before[name] for name, count in asked(folder).items()}
        seen["started"] = await watch.until(lambda: all(watch.running()[name] == 2 for name in STEP))
        gate.unlink()
        await asyncio.sleep(3)
        seen["much"] = watch.aimed()
    seen["down"] = await watch.until(lambda: all(watch.running()[name] == 1 for name in STEP))
    seen["none"] = watch.aimed()
    return seen


async def wake(watch: Watch, front: DeploymentHandle) -> dict[str, Any]:
    """The model without a replica is asked, then by more than it takes at once, and left alone."""
    seen: dict[str, Any] = {"asleep": watch.running()["LLM:sleeper"]}
    seen["pieces"] = await front.ask.remote("sleeper", 3)
    seen["awake"] = watch.running()["LLM:sleeper"]
    async with steadily(front, 12, "sleeper", 3, 2):
        await asyncio.sleep(3)
    seen["back"] = await watch.until(lambda: watch.running()["LLM:sleeper"] == 0)
    return seen


async def scene(client: Any, folder: Path) -> dict[str, Any]:
    watch, front = Watch(client), serve.get_app_handle(APP)
    seen = await play(watch, front, folder)
    sleeper, affinity = await asyncio.gather(wake(watch, front), affinity_scene.scene())
    return {**seen, "sleeper": sleeper, "affinity": affinity, "history": watch.history}


async def main(output: Path) -> None:
    """Run it and write what was seen."""
    ray.init(address="local", namespace="serve", include_dashboard=False, num_cpus=2, log_to_driver=False)
    try:
        client = api.serve_start(proxy_location="Disabled")
        with tempfile.TemporaryDirectory() as name:
            await asyncio.to_thread(client.deploy_apps, config(Path(name)), _blocking=True)
            output.write_text(json.dumps(await scene(client, Path(name))))
    finally:
        await serve.shutdown_async()
        ray.shutdown()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
