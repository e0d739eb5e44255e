"""The policy: which checks run on what is asked, on what was retrieved and on what is answered, and how strictly.

The defaults here are the shipped policy; `policy.yaml` beside this file spells them out and is where to change them.
A policy travels with each request as the text of what differs from the defaults, so that one request meets one policy.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field

from guardrails.check import CheckPolicy, Entry
from guardrails.input_checks import Hidden, Length, Phrases, Pii, Repetition, Secrets
from guardrails.output_checks import Characters, Citations, Groundedness, JsonSchema, LeakCheck, Links
from guardrails.passage_checks import HiddenPassage
from guardrails.trained_checks import Harm, Injection, Instructions, Topics
from guardrails.user_rails import RailsEntry

SHIPPED = Path(__file__).with_name("policy.yaml")


class Side(BaseModel):
    """One side's checks, in the order in which they are made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(True, description="Whether this side is checked at all; off is for measurements.")

    def checks(self) -> Iterator[tuple[str, CheckPolicy]]:
        """The checks that are made, with their names."""
        for name in type(self).model_fields:
            check = getattr(self, name)
            if isinstance(check, CheckPolicy) and check.action != "off":
                yield name, check


class InputPolicy(Side):
    """The checks of what the user asks."""

    length: Length = Length()
    repetition: Repetition = Repetition()
    hidden: Hidden = Hidden()
    phrases: Phrases = Phrases()
    injection: Injection = Injection()
    harm: Harm = Harm()
    topics: Topics = Topics()
    secrets: Secrets = Secrets()
    pii: Pii = Pii()
    rails: RailsEntry = RailsEntry()
    refusal: str = Field(
        "I can't help with that request. Please ask a question about the documents.",
        min_length=1,
        description="What the user reads when a check refuses.",
    )
    too_long: str = Field(
        "This message is too long or repeats itself too much. Please ask a shorter question.",
        min_length=1,
        description="What the user reads when length or repetition refuses.",
    )
    unchecked: str = Field(
        "This question could not be checked just now. Please try again.",
        min_length=1,
        description="What the user reads when a check that fails closed broke.",
    )


class PassagePolicy(Side):
    """What the engine may read of what was retrieved."""

    hidden: HiddenPassage = HiddenPassage()
    instructions: Instructions = Instructions()


class OutputPolicy(Side):
    """What may leave, one sentence at a time."""

    characters: Characters = Characters()
    leaks: LeakCheck = LeakCheck()
    links: Links = Links()
    citations: Citations = Citations()
    groundedness: Groundedness = Groundedness()
    json_schema: JsonSchema = JsonSchema()
    rails: RailsEntry = RailsEntry()
    refusal: str = Field(
        "[The rest of this answer was withheld.]", min_length=1, description="What ends the answer when refused."
    )
    unchecked: str = Field(
        "[The rest of this answer could not be checked and was withheld.]",
        min_length=1,
        description="What ends the answer when a check that fails closed broke.",
    )


class Policy(BaseModel):
    """The guardrails' policy; what a Serve YAML leaves out stands in guardrails/policy.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: InputPolicy = InputPolicy()
    passages: PassagePolicy = PassagePolicy()
    output: OutputPolicy = OutputPolicy()

    def changed(self, change: Mapping[str, Any]) -> Self:
        """The policy with a partial mapping over what is set in it. Raises ValidationError naming the wrong field."""
        return type(self).model_validate(merged(self.model_dump(exclude_unset=True), change))

    @property
    def text(self) -> str:
        """What differs from the defaults, as JSON: small enough to travel with every request."""
        differing = self.model_dump(mode="json", exclude_defaults=True)
        for side, fields in differing.items():
            for name in fields:
                check = getattr(getattr(self, side), name)
                if isinstance(check, Entry):  # its default depends on the action
                    fields[name]["on_error"] = check.on_error
        return json.dumps(differing)

    @property
    def digest(self) -> str:
        """Twelve hex digits that change with any field."""
        whole = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()[:12]


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `change` over it, mapping by mapping; any other value replaces the one before."""
    out = dict(base)
    for key, value in change.items():
        inner = out.get(key)
        if isinstance(inner, Mapping) and isinstance(value, Mapping):
            out[key] = merged(inner, value)
        else:
            out[key] = value
    return out


def load_policy(path: Path = SHIPPED) -> Policy:
    """The policy of a YAML file. Raises ValidationError naming the field at fault."""
    return Policy.model_validate(yaml.safe_load(path.read_text()))


@lru_cache(maxsize=128)
def parse_policy(text: str) -> Policy:
    """The policy that `Policy.text` tells. Raises ValidationError."""
    return Policy.model_validate_json(text)
