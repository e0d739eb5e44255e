"""ray.serve.llm's server with one more method: a Prompt in, Pieces out, errors raised instead of yielded."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from ray._common.usage.usage_lib import usage_stats_enabled
from ray.serve.llm import LLMConfig
from ray.serve.llm.deployment import LLMServer

from deployments.autoscaling import LOAD, SLEEPS
from deployments.engine import Engine
from deployments.engine_load import Figures, Listener, ScalingConfig
from deployments.placement import stand_at
from rag.begun import Begun
from rag.errors import InvalidInput, PromptTooLong, StageFailed, StageUnavailable
from rag.types import Piece, Priority, Prompt, Usage

PRIORITIES: Mapping[Priority, int] = {"interactive": 0, "batch": 1}
"""VLLM's numbers: the lower is scheduled first and preempted last, where the engine's `scheduling_policy` says so."""


class LLM(LLMServer):  # type: ignore[misc]
    """An engine replica: vLLM behind OpenAI's protocol, tensor and pipeline parallel by its placement group."""

    _default_engine_cls = Engine  # what RAYLLM_VLLM_ENGINE_CLS may override
    under_way = 0

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, llm_config: LLMConfig, *, scaling: ScalingConfig, site: str | None = None, **options: Any
    ) -> None:
        """Start the engine. Raises RuntimeError where the replica must stand at `site` and does not."""
        stand_at(site)
        await super().__init__(llm_config, **options)
        self.scaling = scaling
        self.listener = Listener()
        if loggers := self.engine._engine_client.logger_manager:  # none: `disable_log_stats` among the engine arguments
            loggers.stat_loggers.append(self.listener)

    async def _start_engine(self) -> None:
        """Start it; Ray's report of the model, an actor that a start waits for, is left out where reports are off."""
        await (super()._start_engine() if usage_stats_enabled() else self.engine.start())

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What Serve's controller is told of this replica, for deployments/autoscaling.py."""
        figures = self.listener.figures() if self.under_way else Figures()
        return {LOAD: figures.load(self.scaling), SLEEPS: float(self.scaling.to_zero)}

    async def generate(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        """Stream the answer. Raises PromptTooLong and InvalidInput for what the engine refuses.

        Raises StageUnavailable when the engine is gone, so that another replica may go on.
        """
        begun = Begun(prompt.begun)
        self.under_way += 1
        try:
            async with aclosing(self.engine.chat(chat_request(prompt), None)) as lines:
                async for line in lines:
                    for piece in pieces(line, begun):
                        yield piece
        except StageFailed:
            await self.still_there()
            raise
        finally:
            self.under_way -= 1

    async def still_there(self) -> None:
        """Raise StageUnavailable when the engine has died under its replica."""
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            await self.engine.check_health()
        except EngineDeadError as dead:
            raise StageUnavailable("llm", "the engine died") from dead


def chat_request(prompt: Prompt) -> Any:
    """OpenAI's request for `prompt`, as vLLM's own type. Raises InvalidInput for a JSON schema vLLM refuses."""
    from ray.serve.llm.openai_api_models import ChatCompletionRequest

    messages = [{"role": m.role, "content": m.content} for m in prompt.messages]
    fields: dict[str, Any] = {
        "model": prompt.model,
        "messages": messages,
        "max_completion_tokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "top_p": prompt.top_p,
        "stop": list(prompt.stop) or None,
        "seed": prompt.seed,
        "priority": PRIORITIES[prompt.priority],
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    }
    if prompt.begun:
        messages.append({"role": "assistant", "content": prompt.begun})
        fields |= {"continue_final_message": True, "add_generation_prompt": False, "return_prompt_text": True}
    if prompt.request_id:
        fields["request_id"] = prompt.request_id
    if prompt.schema is not None:
        json_schema = {"name": "answer", "schema": json.loads(prompt.schema)}
        fields["response_format"] = {"type": "json_schema", "json_schema": json_schema}
    return ChatCompletionRequest(**fields)


def pieces(line: Any, begun: Begun) -> list[Piece]:
    """Read one item of the engine's stream: a server-sent event, or an error response."""
    if not isinstance(line, str):
        raise refusal(line.error.message)
    payload = line.removeprefix("data: ").strip()
    if payload == "[DONE]":
        return []
    chunk = json.loads(payload)
    if "error" in chunk:
        raise StageFailed("llm", "the engine failed while generating")
    if begun.text and (rendered := chunk.get("prompt_text")):
        begun.check(rendered)
    usage = Usage(chunk["usage"]["prompt_tokens"], chunk["usage"]["completion_tokens"]) if chunk.get("usage") else None
    if not chunk["choices"]:
        queue_ms = (chunk.get("metrics") or {}).get("queue_time_ms")
        return [Piece(usage=usage, queue_ms=queue_ms)]
    (choice,) = chunk["choices"]
    text, ending = choice["delta"].get("content") or "", choice.get("finish_reason")
    if ending == "abort":
        raise StageUnavailable("llm", "the engine gave the answer up")
    text = begun.follow(text)
    return [Piece(text, ending, usage)] if text or ending else []


def refusal(message: str) -> InvalidInput:
    """The engine's 400, told apart by its text: vLLM gives all of them one type."""
    lowered = message.lower()
    if "context length" in lowered or "maximum model length" in lowered or "longer than" in lowered:
        return PromptTooLong("the prompt does not fit the model's context", "messages")
    if "schema" in lowered or "grammar" in lowered or "structured" in lowered:
        return InvalidInput("the engine cannot constrain its output to this JSON schema", "response_format")
    return InvalidInput("the engine refused the request", None)
