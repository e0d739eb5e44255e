"""A user's own NeMo folder: read, and its models' endpoints asked for a sign of life before anything uses them."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from pydantic import BaseModel, ConfigDict, Field

from guardrails.nemo import RAILS, SideName, hush, quiet

if TYPE_CHECKING:
    from nemoguardrails import LLMRails
    from nemoguardrails import RailsConfig as NemoConfig

SIDES: tuple[SideName, ...] = ("input", "output")
REACH_S = 5.0
"""Longest time to wait for an endpoint to answer at all."""


class RailsConfig(BaseModel):
    """Your own NeMo rails, run after Raglan's checks; those that ask a language model stand here too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    config: Path | None = Field(
        None, description="Folder of a NeMo configuration in Colang 1.0; a relative one counts from the project's root."
    )
    models: tuple[Mapping[str, Any], ...] = Field(
        (),
        description="Models instead of the folder's own, as in NeMo's config.yml: type, engine, model and parameters. "
        "The engine `raglan` is this application's own, and its model an id of `models`.",
    )


def read(config: RailsConfig) -> "NemoConfig":
    """The folder's configuration with the models of ours. Raises ValueError naming the field at fault."""
    from nemoguardrails import RailsConfig as Nemo
    from nemoguardrails.rails.llm.config import Model

    try:
        with quiet():
            found = Nemo.from_path(str(config.config))
    except Exception as error:  # NeMo raises whatever its parsers raise; the folder is at fault
        raise ValueError(f"rails.config: {error}") from error
    if found.colang_version != "1.0":
        raise ValueError("rails.config: colang_version must be 1.0")
    if not any(getattr(found.rails, side).flows for side in SIDES):
        raise ValueError("rails.config: no flows under rails.input or rails.output")
    models = []
    for n, given in enumerate(config.models):
        try:
            models.append(Model(**given))
        except (TypeError, ValueError) as error:
            raise ValueError(f"rails.models.{n}: {error}") from error
    if models:
        found.models = models
    return found


class Forgetful(dict[str, Any]):
    """A dict that keeps nothing. NeMo caches the events of every conversation without bound: 20 kB a call."""

    def __setitem__(self, key: str, value: Any) -> None:
        pass


def build_nemo(config: "NemoConfig") -> "LLMRails":
    """NeMo's rails of a configuration: silent and forgetful.

    Set NEMO_GUARDRAILS_NO_USAGE_STATS=1 in the process: otherwise NeMo reports its use to its maker. This opts out too.
    """

    async def build() -> "LLMRails":
        from nemoguardrails import LLMRails, telemetry

        hush()
        telemetry._DO_NOT_TRACK_FILE = RAILS / "input" / "config.yml"  # NeMo stays silent where this file exists
        with quiet():
            nemo = LLMRails(config)
        nemo.events_history_cache = Forgetful()
        return nemo

    # NeMo's constructor asks for an event loop, and makes and leaks one where none runs: give it one of its own.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, build()).result()


def build_side(config: RailsConfig, side: SideName) -> "LLMRails | None":
    """NeMo's rails of one side; None where there is no folder, or no flow of that side in it. Raises ValueError."""
    if config.config is None:
        return None
    found = read(config)
    if not getattr(found.rails, side).flows:
        return None
    try:
        return build_nemo(found)
    except Exception as error:  # what NeMo finds wrong only now
        raise ValueError(f"rails.config: {error}") from error


def check_rails(config: RailsConfig) -> None:
    """Build both sides, and reach every model that has a URL. Raises ValueError naming the field at fault."""
    for nemo in (build_side(config, side) for side in SIDES):
        if nemo is None:
            continue
        where = "rails.models" if config.models else "rails.config: models"
        for n, model in enumerate(nemo.config.models):
            llm = nemo.llm if model.type == "main" else getattr(nemo, f"{model.type}_llm", None)
            url = getattr(llm, "provider_url", None)
            if url:
                reach(url, f"{where}.{n}.parameters.base_url")


def reach(url: str, field: str) -> None:
    """Wait for any HTTP answer from an OpenAI-compatible endpoint. Raises ValueError naming `field` if none comes."""
    try:
        httpx.get(f"{url.rstrip('/')}/models", timeout=REACH_S)
    except httpx.HTTPError as error:
        raise ValueError(f"{field}: {url} cannot be reached ({type(error).__name__})") from error
