"""The policies in force: one for everybody, and one for each API key that changes it. Swapped whole when reloaded."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guardrails.policy import Policy

log = logging.getLogger(__name__)

Change = Mapping[str, Any]


class PolicyUpdate(BaseModel):
    """What the `user_config` of the Ingress may hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: Change = Field(default_factory=dict, description="Fields of the policy that change while it runs.")


@dataclass(frozen=True, slots=True)
class Standing:
    """A policy as it goes with a request: its text, its name in traces, and which sides are checked at all.

    `hold_json`: an answer that a schema was asked for may be refused as a whole, so it is held back until it is judged.
    """

    text: str
    digest: str
    input: bool
    output: bool
    hold_json: bool = False


def standing(policy: Policy) -> Standing:
    output = policy.output
    return Standing(
        policy.text, policy.digest, policy.input.enabled, output.enabled, output.json_schema.action == "block"
    )


def canonical(change: Change) -> str:
    """A change of a policy as JSON; equal changes have equal text."""
    return json.dumps(change, sort_keys=True)


class PolicyBook:
    """Looks a key's policy up by its change. `base` is what the deployment was built with."""

    def __init__(self, base: Policy, changes: Sequence[Change] = ()) -> None:
        """Raises ValidationError for a change that does not fit."""
        self.base = base
        self.changes = changes
        self.standing = self.read({})
        self.refused = ""

    def read(self, change: Change) -> dict[str, Standing]:
        """Every policy of the book with `change` over the base."""
        policy = self.base.changed(change)
        return {canonical(own): standing(policy.changed(own)) for own in ({}, *self.changes)}

    def reload(self, update: Mapping[str, Any], running: bool) -> None:
        """Put an update, `{"policy": {...}}`, in force for what comes next.

        A wrong one changes nothing: it raises ValidationError, or while `running` is only logged, by its fields.
        """
        try:
            self.standing = self.read(PolicyUpdate.model_validate(update).policy)
            self.refused = ""
        except ValidationError as error:
            if not running:
                raise
            self.refused = faults(error)
            log.error("The new policy is refused and the running one stays: %s", self.refused)

    @property
    def state(self) -> str:
        """The digest in force, and the fields for which the last change was refused, if it was."""
        digest = self.of({}).digest
        return f"{digest}; the last change is refused: {self.refused}" if self.refused else digest

    def of(self, change: Change) -> Standing:
        """The policy of a key that makes `change`."""
        return self.standing[canonical(change)]


def faults(error: ValidationError) -> str:
    """Every field at fault and why, without the values."""
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
