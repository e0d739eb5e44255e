"""ray.serve.llm's prefix-affinity router for our `Prompt`, without its waits: it runs in the caller's event loop.

The original waits for its tree of prefixes with `ray.get`, which stops every request of an Ingress, divides by zero on
messages that are a tuple, and fails requests when the tree's node is lost. Serve pickles this module by value.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError

# Not from ray.serve.llm, the public name: importing that brings vLLM and torch into every caller.
from ray.llm._internal.serve.routing_policies.prefix_aware.prefix_aware_router import PrefixCacheAffinityRouter
from ray.llm._internal.serve.routing_policies.prefix_aware.prefix_tree import PrefixTreeActor
from ray.serve._private.common import ReplicaID
from ray.serve._private.constants import SERVE_CONTROLLER_NAME, SERVE_NAMESPACE
from ray.serve._private.request_router.common import PendingRequest
from ray.serve._private.request_router.replica_wrapper import RunningReplica

from rag.types import Prompt

LONGEST = 16_000
"""Characters of a prompt that are compared."""
PATIENCE_S = 0.5
"""Longest wait for the tree, such as when its node hangs."""


class PrefixRouter(PrefixCacheAffinityRouter):  # type: ignore[misc]
    """Prefers the replicas that have seen a prompt's beginning; where none has, or load is uneven, load decides."""

    def initialize_state(self, labels: dict[str, str], **settings: Any) -> None:
        """Take the original's settings, and find or begin the tree that all callers of this deployment share.

        The tree holds text of requests, and stands on a node with `labels`.
        """
        self._settings = {"labels": labels, **settings}
        super().initialize_state(tree_actor=shared_tree(self._deployment_id, labels), **settings)
        self._tree_actor.start_eviction_loop.remote(
            self._eviction_threshold_chars, self._eviction_target_chars, self._eviction_interval_secs
        )

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """Follow the deployment's replicas."""
        before = set(self._replica_id_set)
        super(PrefixCacheAffinityRouter, self).update_replicas(replicas)
        after = set(self._replica_id_set)
        if after != before:
            self._tree_actor.add_tenants.remote(names(after - before), time.time())
            self._tree_actor.remove_tenants.remote(names(before - after))

    def on_replica_actor_died(self, replica_id: ReplicaID) -> None:
        """Forget a dead replica."""
        super(PrefixCacheAffinityRouter, self).on_replica_actor_died(replica_id)
        self._tree_actor.remove_tenants.remote(names([replica_id]))

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: Any) -> None:
        """Remember which replica has seen this prompt."""
        if text := beginning(pending_request.args):
            self._tree_actor.insert.remote(text, replica_id.to_full_id_str(), time.time())

    async def _prefix_match_best_replicas(
        self, pending_request: PendingRequest, candidate_replicas: list[RunningReplica]
    ) -> list[list[RunningReplica]]:
        """The preferred replicas in one list, empty where load is to decide. The original calls this."""
        text = beginning(pending_request.args)
        if not text or await self._uneven(candidate_replicas):
            return [[]]
        known = {replica.replica_id.to_full_id_str(): replica for replica in candidate_replicas}
        try:
            async with asyncio.timeout(PATIENCE_S):
                matched, found = await self._tree_actor.prefix_match.remote(text, list(known))
                if len(matched) < self._match_rate_threshold * len(text):
                    found = await self._tree_actor.get_smallest_tenants.remote()
        except TimeoutError:
            return [[]]
        except RayActorError:
            self.initialize_state(**self._settings)
            self._tree_actor.add_tenants.remote(names(self._replica_id_set), time.time())
            return [[]]
        return [[known[name] for name in found or () if name in known]]

    async def _uneven(self, replicas: Sequence[RunningReplica]) -> bool:
        """Whether one replica has too many more requests than another."""
        cached = {r: self._replica_queue_len_cache.get(r.replica_id) for r in replicas}
        lengths = [length for length in cached.values() if length is not None]
        unknown = [r for r, length in cached.items() if length is None]
        if unknown:
            lengths += [length for _, length in await self._probe_queue_lens(unknown, 0) if length is not None]
        return bool(lengths) and max(lengths) - min(lengths) > self._imbalanced_threshold


def shared_tree(deployment: Any, labels: dict[str, str]) -> Any:
    """The tree of `deployment` on a node with `labels`, begun where there is none.

    It needs no CPU, so that it always finds a place. One that was begun under other labels is another tree.
    """
    tree = PrefixTreeActor.options(
        name="@".join(["PrefixTree", *(f"{key}={value}" for key, value in sorted(labels.items()))]),
        namespace=f"{SERVE_NAMESPACE}::{deployment.app_name}::{deployment.name}",
        get_if_exists=True,
        lifetime="detached",
        num_cpus=0,
        label_selector=labels or None,
    ).remote()
    ray.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE)._register_shutdown_cleanup_actor.remote(tree)
    return tree


def names(replicas: Iterable[ReplicaID]) -> list[str]:
    """The replicas as the tree calls them."""
    return [replica.to_full_id_str() for replica in replicas]


def beginning(args: Sequence[Any]) -> str:
    """The beginning of the prompt among a request's arguments; empty for a call without one."""
    for arg in args:
        if isinstance(arg, Prompt):
            return "\n".join(f"{m.role}: {m.content}" for m in arg.messages)[:LONGEST]
    return ""
