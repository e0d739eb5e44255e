"""How many replicas each deployment should have, decided for the whole application at once.

Serve's controller calls `in_step`, the `autoscaling_policy` of the Serve YAML, and applies each deployment's bounds,
delays and factors to what it returns. Serve pickles this module by value, so it imports nothing of the project.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ray.serve._private.common import DeploymentID
from ray.serve.config import AutoscalingContext

FRONT = "Ingress"
ENGINES = "LLM:"
LOAD, SLEEPS = "load", "sleeps"
"""What an engine replica reports: how many replicas' work it has, and whether its model may have none (0 or 1)."""
SLACK = 0.2
"""A replica is given up when the others would then still have this share of their target to spare."""
HALF_LIFE_S = 60.0
"""After this time a measurement counts half."""
ENOUGH = 5.0
"""Request-seconds at the front from which on a share is known."""
TINY = 1e-6

State = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """One deployment in one tick. `ongoing` requests are under way or wait; a replica should have `target` of them.

    `load` is what its replicas say of themselves, in replicas. `share` is how many requests this deployment has for
    each one at the front (0: not known yet), and `sleeps` whether it may have no replica (None: it has not said).
    """

    name: str
    ongoing: float
    target: float
    running: int
    aimed: int
    load: float = 0.0
    share: float = 0.0
    sleeps: bool | None = None

    @property
    def own(self) -> float:
        """Replicas that its own work asks for."""
        return max(self.ongoing / self.target, self.load)

    @property
    def floor(self) -> int:
        """Fewest replicas. A model of which nothing is known yet stays as it is, so that none is woken for nothing."""
        if not self.name.startswith(ENGINES) or self.sleeps is False:
            return 1
        return 0 if self.sleeps else min(1, self.aimed)


def in_step(
    contexts: Mapping[DeploymentID, AutoscalingContext],
) -> tuple[dict[DeploymentID, int], dict[DeploymentID, State]]:
    """Serve's application-level policy: the replicas of each deployment, and what to remember of it."""
    seen = {id: look(context) for id, context in contexts.items()}
    front = sum(one.ongoing for one in seen.values() if one.name == FRONT)
    calm = all(one.own <= one.running for one in seen.values())
    replicas = {id: decide(one, front) for id, one in seen.items()}
    states: dict[DeploymentID, State] = {}
    for id, context in contexts.items():
        here, there = (seen[id].ongoing, front) if calm else (0.0, 0.0)
        states[id] = {**learned(context.policy_state, context.current_time, here, there), SLEEPS: seen[id].sleeps}
    return replicas, states


def look(context: AutoscalingContext) -> Seen:
    """What Serve measured of one deployment, and what is remembered of it."""
    told: Mapping[str, Mapping[Any, float]] = context.aggregated_metrics or {}
    said = list(told.get(SLEEPS, {}).values())
    return Seen(
        name=context.deployment_name,
        ongoing=context.total_num_requests,
        target=context.config.target_ongoing_requests,
        running=context.current_num_replicas,
        aimed=context.target_num_replicas,
        load=sum(told.get(LOAD, {}).values()),
        share=share(context.policy_state),
        sleeps=all(said) if said else context.policy_state.get(SLEEPS),
    )


def decide(one: Seen, front: float) -> int:
    """Replicas for its own work, or for what the requests at the front will ask of it, whichever is more.

    The latter counts from a whole replica on, and wakes no model: so one that is asked no more can fall asleep.
    """
    coming = front * one.share / one.target
    asleep = one.running == 0 and one.name.startswith(ENGINES)
    wanted = one.own if coming < 1 or asleep else max(one.own, coming)
    return max(one.floor, settled(wanted, one.aimed))


def settled(wanted: float, aimed: int) -> int:
    """Whole replicas for `wanted`; `aimed` is the number at present. Up at once, down only with SLACK to spare."""
    enough = math.ceil(wanted - TINY)
    return enough if enough >= aimed else min(aimed, math.ceil(wanted / (1 - SLACK) - TINY))


def learned(state: State, now: float, here: float, front: float) -> State:
    """`state` at the time `now`: the request-seconds here and at the front, of which older ones count less.

    With nobody at the front nothing is learned and nothing fades. So it is while a deployment is short of replicas:
    where requests queue, they would tell of the queue.
    """
    seconds = now - state.get("at", now) if front else 0.0
    kept = 0.5 ** (seconds / HALF_LIFE_S)
    return {
        "at": now,
        "here": state.get("here", 0.0) * kept + here * seconds,
        "front": state.get("front", 0.0) * kept + front * seconds,
    }


def share(state: State) -> float:
    """Requests here for each one at the front: by Little's law the part of a request's time that it spends here.

    A request is in one place at a time, which bounds it. 0 while too little is known.
    """
    enough = state.get("front", 0.0) >= ENOUGH
    return min(1.0, state["here"] / state["front"]) if enough else 0.0
