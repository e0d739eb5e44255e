"""An engine without a model, for runs that measure everything but the model: it quotes its evidence, word by word.

`deployments/llm.py` runs it in the place of vLLM, as ray.serve.llm's RAYLLM_VLLM_ENGINE_CLS names it.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

PATH = "benchmarks.chaos_engine.FakeEngine"
EVIDENCE = re.compile(r"^\[(\d+)\] (.+)$", re.MULTILINE)
WORDS = 4
"""Words in a piece."""
PAUSE_S = 0.05
"""Between two pieces: 80 words a second."""
NOTHING = "The documents say nothing about this."


def reply(prompt: str) -> str:
    """What is answered to a prompt of the template quote@1: its evidence, each entry with its number."""
    return " ".join(f"{text.strip()} [{n}]" for n, text in EVIDENCE.findall(prompt)) or NOTHING


def steps(text: str) -> list[str]:
    """The text in pieces of WORDS words, each with the space behind it."""
    words = re.findall(r"\S+\s*|\s+", text)
    return ["".join(words[n : n + WORDS]) for n in range(0, len(words), WORDS)]


class FakeEngine:
    """Plays ray.serve.llm's LLMEngine. The same prompt has the same answer on every replica."""

    def __init__(self, llm_config: Any) -> None:
        self.model = llm_config.model_id
        self._engine_client = SimpleNamespace(logger_manager=None)  # it reports no load, as with `disable_log_stats`

    async def start(self) -> None:
        """Import what the first request needs, as vLLM has by then."""
        await asyncio.to_thread(import_module, "ray.serve.llm.openai_api_models")

    def routing_stats(self) -> dict[str, Any]:
        return {}

    async def check_health(self) -> None:
        """Alive as long as the event loop runs."""

    async def shutdown(self) -> None:
        """There is nothing to end."""

    async def chat(self, request: Any, raw_request_info: Any = None) -> AsyncGenerator[str]:
        """Stream OpenAI's chunks; a begun answer is gone on with."""
        messages = [message if isinstance(message, dict) else message.model_dump() for message in request.messages]
        begun = messages[-1]["content"] if request.continue_final_message else ""
        asked = next(m["content"] for m in reversed(messages) if m["role"] == "user")
        left = steps(reply(asked).removeprefix(begun))[: request.max_completion_tokens]
        read = len(asked.split()) + len(begun.split())
        for n, text in enumerate(left, 1):
            await asyncio.sleep(PAUSE_S)
            yield chunk({"content": text}, None, read, n, prompt_text=begun or None)
        yield chunk({}, "stop", read, len(left))


def chunk(delta: dict[str, str], finish_reason: str | None, read: int, written: int, **more: Any) -> str:
    """One server-sent event."""
    usage = {"prompt_tokens": read, "completion_tokens": written}
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return f"data: {json.dumps({'choices': [choice], 'usage': usage, **more})}\n\n"
