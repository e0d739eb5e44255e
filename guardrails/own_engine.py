"""Raglan's own engine as a model of NeMo's: engine `raglan` in a user's NeMo configuration. No HTTP in between."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from rag.stages import LLM
from rag.types import Message, Prompt, Role

if TYPE_CHECKING:
    from nemoguardrails.types import LLMResponse, LLMResponseChunk

ENGINE = "raglan"
ROLES: dict[str, Role] = {"system": "system", "assistant": "assistant"}
MAX_TOKENS = 64
"""Of a rail's answer, where its prompt asks for no other number: most are a yes or a no."""


def register(llm: LLM) -> None:
    """Let NeMo configurations of this process name the engine `raglan`."""
    from nemoguardrails.llm.providers import register_provider

    register_provider(ENGINE, partial(EngineModel, llm))


class EngineModel:
    """NeMo's `LLMModel` protocol over the role LLM."""

    provider_name = ENGINE
    provider_url = None

    def __init__(self, llm: LLM, model: str, **options: Any) -> None:
        self.llm = llm
        self.model_name = model
        self.options = options

    async def generate_async(self, prompt: Any, *, stop: list[str] | None = None, **options: Any) -> "LLMResponse":
        """The whole reply to `prompt`, a text or NeMo's chat messages."""
        from nemoguardrails.types import LLMResponse

        async with aclosing(self.generate(prompt, stop, options)) as texts:
            return LLMResponse(content="".join([text async for text in texts]), model=self.model_name)

    async def stream_async(
        self, prompt: Any, *, stop: list[str] | None = None, **options: Any
    ) -> AsyncGenerator["LLMResponseChunk"]:
        """The reply piece by piece."""
        from nemoguardrails.types import LLMResponseChunk

        async with aclosing(self.generate(prompt, stop, options)) as texts:
            async for text in texts:
                yield LLMResponseChunk(delta_content=text, model=self.model_name)

    async def generate(self, prompt: Any, stop: list[str] | None, options: dict[str, Any]) -> AsyncGenerator[str]:
        wanted = {**self.options, **options}
        asked = Prompt(
            model=self.model_name,
            messages=(Message("user", prompt),) if isinstance(prompt, str) else tuple(map(message, prompt)),
            max_tokens=int(wanted.get("max_tokens") or MAX_TOKENS),
            temperature=float(wanted.get("temperature") or 0),
            stop=tuple(stop or ()),
        )
        async with aclosing(self.llm.generate(asked)) as pieces:
            async for piece in pieces:
                yield piece.text


def message(given: Any) -> Message:
    """NeMo's chat message as ours; what is neither system nor assistant is the user's."""
    return Message(ROLES.get(given.role.value, "user"), str(given.content or ""))
