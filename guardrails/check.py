"""What a check is: an entry of the policy whose method judges a subject. Knows neither NeMo nor threads.

To add one: subclass `CheckPolicy` beside the function it calls, and add a field to its side in `policy.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from guardrails.mask import Scan, scan
from rag.types import Vector

Reaction = Literal["off", "flag", "block"]
Masking = Literal["off", "flag", "mask", "block"]
Dropping = Literal["off", "flag", "drop"]
OnError = Literal["open", "closed"]
NOTING = frozenset({"off", "flag"})
"""Actions that let every text pass, so that a check which breaks lets it pass too; the others fail closed."""
Embed = Callable[[Sequence[str]], Vector]
"""Texts to float32 unit vectors of shape (n, d). Blocks, so call it only inside a check."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a check reads; a side fills what it knows.

    Input: the last user message as `text`, the `earlier` ones and the `vector` (d,) of the last. Output: a sentence as
    `text`, what stands `before` it, the `passages` it may cite and their `urls`, the `question`, the JSON `schema` that
    was asked for, the `prompts` that engines are asked with, and the caller's own `orders` to them. Passages: one
    passage as `text`, the `scores` it was stored with, and the `question`.
    `bundled`: the vectors are the bundled embedding model's, which the trained checks were trained on.
    `scans`: what `scanned` found in these texts, which several checks ask for.
    """

    text: str
    earlier: tuple[str, ...] = ()
    vector: Vector | None = None
    question: str = ""
    passages: tuple[str, ...] = ()
    schema: str = ""
    prompts: tuple[str, ...] = ()
    before: str = ""
    urls: tuple[str, ...] = ()
    orders: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    embed: Embed | None = None
    bundled: bool = False
    scans: dict[str, Scan] = field(default_factory=dict, repr=False, compare=False)

    @property
    def asked(self) -> tuple[str, ...]:
        """All messages of the user, oldest first."""
        return (*self.earlier, self.text)

    def scanned(self) -> list[Scan]:
        """What masking makes of each of these messages; a message is read once, whoever asks."""
        for text in self.asked:
            if text not in self.scans:
                self.scans[text] = scan(text)
        return [self.scans[text] for text in self.asked]


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
    """The field `on_error` of a check, with its value by the check's default action: see `Entry`."""
    return Field(
        default,
        description="What a check that breaks or takes too long does: open lets pass, closed refuses. Left out, it is "
        "closed where the action is mask, block or drop, and open where it is flag.",
    )


def budget_field(default: int) -> Any:
    """The field `budget_ms` of a check."""
    return Field(
        default,
        ge=1,
        le=60_000,
        description="Milliseconds of processor time after which the check is given up; by the clock it has ten times "
        "as many.",
    )


class Entry(BaseModel):
    """What every check of a policy has. One that says nothing of errors fails by its action: see NOTING."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: str
    on_error: OnError = on_error_field("closed")
    budget_ms: int = budget_field(500)

    @field_validator("action", mode="before")
    @classmethod
    def _off_is_false(cls, value: Any) -> Any:
        return "off" if value is False else value  # YAML 1.1 reads `off` as false

    @model_validator(mode="after")
    def _fail_by_action(self) -> Self:
        if "on_error" not in self.model_fields_set:
            object.__setattr__(self, "on_error", "open" if self.action in NOTING else "closed")
        return self


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
