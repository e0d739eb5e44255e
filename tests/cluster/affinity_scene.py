"""Two replicas behind our prefix-affinity router, asked by a handle as an Ingress asks them."""

import asyncio
from collections import Counter
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.handle import DeploymentHandle

from rag.types import Message, Prompt

APP = "twins"
IMBALANCE = 4
FEW, MANY = 3, 24
LIMIT_S = 30.0
APPLICATION: dict[str, Any] = {
    "name": APP,
    "route_prefix": None,
    "import_path": "tests.cluster.scaled_app:build_twins",
    "args": {"enabled": True, "imbalance": IMBALANCE},
    "deployments": [{"name": "LLM:twin", "max_ongoing_requests": 50, "ray_actor_options": {"num_cpus": 0}}],
}
Where = dict[str, dict[str, int]]


class Client:
    """Asks what begins with a topic, and counts which replica answered."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self.handle = handle
        self.stream = handle.options(stream=True)
        self.number = 0

    async def ask(self, topic: str, tokens: int) -> str:
        self.number += 1
        system = Message("system", f"{topic}: " + topic * 50)
        prompt = Prompt("twin", (system, Message("user", f"question {self.number}")), max_tokens=tokens)
        (name,) = [name async for name in self.stream.generate.remote(prompt)]
        return str(name)

    async def in_turn(self, *topics: str) -> Where:
        """Ask the topics one after the other, three times."""
        found: dict[str, Counter[str]] = {topic: Counter() for topic in topics}
        for _ in range(3):
            for topic in topics:
                found[topic][await self.ask(topic, 0)] += 1
        return {topic: dict(names) for topic, names in found.items()}

    async def at_once(self, topic: str, many: int) -> dict[str, int]:
        """Ask one topic so often at the same time."""
        return dict(Counter(await asyncio.gather(*(self.ask(topic, 10) for _ in range(many)))))


async def grown() -> Any:
    """The tree of prefixes, as soon as it answers."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            try:
                tree = ray.get_actor("PrefixTree", namespace=f"serve::{APP}::LLM:twin")
                await tree.get_smallest_tenants.remote()
            except (ValueError, RayActorError):
                await asyncio.sleep(0.1)
            else:
                return tree


async def scene() -> dict[str, Any]:
    """What went where: topic by topic, few at once, many at once, and when the tree of prefixes was lost."""
    client = Client(serve.get_app_handle(APP))
    await client.ask("few", 0)  # shorter than the topics: the replica that has it stays the one with less to remember
    tree = await grown()
    seen: dict[str, Any] = {"in_turn": await client.in_turn("alpha", "beta")}
    seen["few"] = await client.at_once("alpha", FEW)
    seen["many"] = await client.at_once("alpha", MANY)
    await client.handle.check_health.remote()
    ray.kill(tree)
    seen["tree_lost"] = await client.in_turn("gamma")
    await grown()
    seen["tree_again"] = await client.in_turn("delta", "epsilon")
    return seen
