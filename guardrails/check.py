"""What a check is: an entry of the policy whose method judges a subject. Knows neither NeMo nor threads.

To add one: subclass `CheckPolicy` beside the function it calls, and add a field to its side in `policy.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from rag.types import Vector

Reaction = Literal["off", "flag", "block"]
Masking = Literal["off", "flag", "mask", "block"]
Dropping = Literal["off", "flag", "drop"]
OnError = Literal["open", "closed"]
Embed = Callable[[Sequence[str]], Vector]
"""Texts to float32 unit vectors of shape (n, d). Blocks, so call it only inside a check."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a check reads; a side fills what it knows.

    Input: the last user message as `text`, the `earlier` ones and the `vector` (d,) of the last. Output: a sentence as
    `text`, the `passages` it may cite, the `question`, the JSON `schema` that was asked for, and the `prompts` that
    engines are asked with. Passages: one passage as `text`, the `scores` it was stored with, and the `question`.
    `bundled`: the vectors are the bundled embedding model's, which the trained checks were trained on.
    """

    text: str
    earlier: tuple[str, ...] = ()
    vector: Vector | None = None
    question: str = ""
    passages: tuple[str, ...] = ()
    schema: str = ""
    prompts: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    embed: Embed | None = None
    bundled: bool = False

    @property
    def asked(self) -> tuple[str, ...]:
        """All messages of the user, oldest first."""
        return (*self.earlier, self.text)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. `detail` never repeats the text judged.

    A `mild` hit is only ever flagged. `masked` is what the texts judged (`Subject.asked`) become where the action is
    `mask`.
    """

    hit: bool
    score: float | None = None
    detail: str = ""
    mild: bool = False
    masked: tuple[str, ...] = ()


def action_field(default: str) -> Any:
    """The field `action` of a check, described once."""
    return Field(default, description="What happens when the check finds something; off: it is not made.")


def on_error_field(default: OnError) -> Any:
    """The field `on_error` of a check: closed where it is there to refuse, open where it only notes."""
    return Field(
        default, description="What a check that breaks or takes too long does: open lets pass, closed refuses."
    )


def budget_field(default: int) -> Any:
    """The field `budget_ms` of a check."""
    return Field(default, ge=1, le=60_000, description="Milliseconds after which the check is given up.")


class Entry(BaseModel):
    """What every check of a policy has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: str
    on_error: OnError = on_error_field("closed")
    budget_ms: int = budget_field(500)


class CheckPolicy(Entry, ABC):
    """A check: its settings, and its judgement by them."""

    gate: ClassVar[bool] = False
    """When it refuses, no later check reads the text."""
    refusal: ClassVar[str] = "refusal"
    """The field of its side with what the user reads when it refuses."""

    def applies(self, subject: Subject) -> bool:
        """Whether the check has to do with `subject` at all; one that has not is not told of."""
        return True

    @abstractmethod
    def check(self, subject: Subject) -> Finding | None:
        """Judge `subject`; None: there is nothing in it to judge. Runs in a worker thread and may raise."""
