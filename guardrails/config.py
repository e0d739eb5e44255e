"""What the rails check, how strictly, and what the user reads when they refuse."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Reaction = Literal["off", "flag", "block"]
"""What a check that finds something does: it is not made at all, it is noted, or it refuses."""


class GuardConfig(BaseModel):
    """The input rail: what may be asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(True, description="Whether questions are checked at all; off is for measurements")
    length: Reaction = Field("block", description="Reaction to a conversation over its length limits")
    max_characters: int = Field(16_000, ge=1, le=1_000_000, description="Characters one user message may have")
    max_history_characters: int = Field(
        60_000, ge=1, le=1_000_000, description="Characters all user messages together may have"
    )
    repetition: Reaction = Field("block", description="Reaction to a message that repeats itself without end")
    max_repetition: float = Field(
        0.96,
        ge=0,
        le=1,
        description="Share of a message that compression may remove; prose loses 0.5 to 0.7, log files up to 0.93",
    )
    hidden: Reaction = Field("flag", description="Reaction to invisible tag characters, which can carry hidden text")
    phrases: Reaction = Field("block", description="Reaction to phrases of prompt injection, jailbreak and extraction")
    secrets: Reaction = Field("flag", description="Reaction to API keys, tokens and private keys in the question")
    refusal: str = Field(
        "I can't help with that request. Please ask a question about the documents.",
        description="What the user reads when a check refuses",
    )
    too_long: str = Field(
        "This message is too long or repeats itself too much. Please ask a shorter question.",
        description="What the user reads when length or repetition refuses",
    )
    unchecked: str = Field(
        "This question could not be checked just now. Please try again.",
        description="What the user reads when a check itself broke: an unchecked question is not answered",
    )


class ValidateConfig(BaseModel):
    """The output rail: what may leave, one sentence at a time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(True, description="Whether answers are masked and checked at all; off is for measurements")
    characters: Reaction = Field("block", description="Reaction to text that is not valid Unicode (lone surrogates)")
    leaks: Reaction = Field("block", description="Reaction to a canary, or a run of words of a protected text")
    canaries: tuple[str, ...] = Field((), description="Strings that must never leave, compared without case")
    protected: tuple[str, ...] = Field(
        (),
        description="Texts not to be recited, such as the prompt template; what stands in double quotes in them may be",
    )
    leak_words: int = Field(8, ge=4, le=50, description="Consecutive words of a protected text that count as a leak")
    citations: Reaction = Field(
        "flag",
        description="Reaction to a marker such as [7] where there is no seventh passage. A flag by default: the answer "
        "carries no citation for it, and ending an otherwise good answer in its middle helps nobody",
    )
    groundedness: Reaction = Field("flag", description="Reaction to a sentence its passages do not support")
    min_groundedness: float = Field(0.5, ge=0, le=1, description="Groundedness below which a sentence is unsupported")
    refusal: str = Field("[The rest of this answer was withheld.]", description="What ends the answer when refused")
    unchecked: str = Field(
        "[The rest of this answer could not be checked and was withheld.]",
        description="What ends the answer when a check itself broke",
    )
