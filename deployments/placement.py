"""Where replicas may stand: label selectors with an ordered fallback, and what never leaves its site.

Ray's scheduler enforces the selectors. `stand_at` checks them once more on the node that a replica came to.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

SITE = "site"
"""The label that tells at which site a node stands."""
ACCELERATOR_SHARE = 0.001
"""What ray.serve.llm asks of the resource that names the GPU type, for each worker."""

Labels = Mapping[str, str]
Stage = Literal["Ingress", "Embedder", "Guard", "Retriever", "Reranker", "Validator"]
PLAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


class Placement(BaseModel):
    """The nodes that may hold a replica, by their labels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: Labels = Field(default_factory=dict, description="Labels that the node must have, such as `site: onprem`.")
    fallback: tuple[Labels, ...] = Field(
        (), description="Labels that do instead, in this order, where no node with the wanted labels has room."
    )

    @model_validator(mode="after")
    def well_formed(self) -> Self:
        if self.fallback and not self.labels:
            raise ValueError("labels: a fallback needs labels to fall back from")
        for selector in self.choices:
            for key, value in selector.items():
                if not PLAIN.fullmatch(value) or not PLAIN.fullmatch(key.rpartition("/")[2]):
                    raise ValueError(f"labels: {key!r}: {value!r} is no label of a node")
        if not all(self.fallback):
            raise ValueError("fallback: an entry without labels would allow every node")
        return self

    @property
    def choices(self) -> tuple[Labels, ...]:
        """The selectors in the order of preference; empty where any node will do."""
        return (self.labels, *self.fallback) if self.labels else ()

    def stays_at(self, site: str) -> bool:
        """Whether every node that it allows stands at `site`."""
        return bool(self.choices) and all(selector.get(SITE) == site for selector in self.choices)


class StagePlacement(Placement):
    """What one replica of a stage asks of its node."""

    cpus: float = Field(1, ge=0, description="Logical CPUs of a replica.")

    def actor_options(self) -> dict[str, Any]:
        """Serve's `ray_actor_options`."""
        options: dict[str, Any] = {"num_cpus": self.cpus}
        if self.labels:
            options["label_selector"] = dict(self.labels)
        if self.fallback:
            options["fallback_strategy"] = [{"label_selector": dict(labels)} for labels in self.fallback]
        return options


class EnginePlacement(Placement):
    """The nodes that may hold an engine replica with all its workers."""

    @model_validator(mode="after")
    def one_selector(self) -> Self:
        if len(self.choices) > 1:
            keys = {frozenset(selector) for selector in self.choices}
            if len(keys) > 1 or len(self.differing()) > 1:
                raise ValueError("fallback: an engine's choices may differ in the value of one label only")
        return self

    def differing(self) -> dict[str, list[str]]:
        """The labels whose values differ between the choices, with those values in order."""
        values = {key: list(dict.fromkeys(selector[key] for selector in self.choices)) for key in self.labels}
        return {key: found for key, found in values.items() if len(found) > 1}

    def selector(self) -> dict[str, str]:
        """The choices in one selector, which is all that Ray's placement groups take: `site: in(onprem,cloud)`.

        Their order is lost to Ray's scheduler. The autoscaler's priorities say which nodes start first. No space may
        stand in it: Ray takes `in(onprem, cloud)` too, and then finds no node labelled ` cloud`.
        """
        alternatives = {key: f"in({','.join(values)})" for key, values in self.differing().items()}
        return {**self.labels, **alternatives}


def stand_at(site: str | None) -> None:
    """Raise RuntimeError where this process's node is not labelled with `site`; None allows every node.

    So a replica that an edited Serve YAML let go astray does not start.
    """
    if site is None:
        return
    import ray

    found = ray.get_runtime_context().get_node_labels().get(SITE)
    if found != site:
        raise RuntimeError(f"this replica must stand at the site {site!r}, and its node says {found!r}")
