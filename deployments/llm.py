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
UNENFORCEABLE = "the engine cannot constrain its output to this JSON schema"
OF_A_SCHEMA = ("grammar", "schema", "regex", "structured")
"""One of them is in every refusal of a schema, beside words of the schema itself, and none in that of a long prompt."""
FAILED_GENERATION = "Internal server error"
"""The text of vLLM's `GenerationError`. A constrained generation ends with it where its grammar does not compile."""


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
        begun, constrained, started = Begun(prompt.begun), prompt.schema is not None, False
        self.under_way += 1
        try:
            async with aclosing(self.engine.chat(chat_request(prompt), None)) as lines:
                async for line in lines:
                    for piece in pieces(line, begun, constrained, started):
                        started = True
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
    """OpenAI's request for `prompt`, as vLLM's own type."""
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
        fields["structured_outputs"] = {"json": prompt.schema}  # as text: a number over 64 bits cannot cross otherwise
    return ChatCompletionRequest(**fields)


def pieces(line: Any, begun: Begun, constrained: bool = False, started: bool = False) -> list[Piece]:
    """Read one item of the engine's stream: a server-sent event, or an error response.

    `constrained`: the answer is to obey a JSON schema. Raises InvalidInput, naming it, where the engine refuses it.
    `started`: the engine has written something, so that no error is the request's any more but a StageFailed.
    """
    if not isinstance(line, str):
        raise failure(line.error.code, line.error.message, constrained, started)
    payload = line.removeprefix("data: ").strip()
    if payload == "[DONE]":
        return []
    chunk = json.loads(payload)
    if "error" in chunk:
        raise failure(chunk["error"]["code"], chunk["error"]["message"], constrained, started)
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


def failure(code: int, message: str, constrained: bool, started: bool) -> InvalidInput | StageFailed:
    """The engine's error without its words, which may hold paths.

    VLLM gives all that it refuses one type, so what is wrong is told by the text. A grammar that does not compile fails
    like a generation, before its first token.
    """
    lowered = message.lower()
    if constrained and not started and message == FAILED_GENERATION:
        return InvalidInput(UNENFORCEABLE, "response_format")
    if started or not 400 <= code < 500:
        return StageFailed("llm", "the engine failed while generating")
    if constrained and any(word in lowered for word in OF_A_SCHEMA):
        return InvalidInput(UNENFORCEABLE, "response_format")
    if "context length" in lowered or "maximum model length" in lowered:
        return PromptTooLong("the prompt does not fit the model's context", "messages")
    return InvalidInput("the engine refused the request", None)
