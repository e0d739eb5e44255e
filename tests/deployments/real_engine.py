"""Run by `test_real_engine.py`: our LLM on the real vLLM that a Serve YAML's first model configures.

`python -m tests.deployments.real_engine PROFILE` reads chats on stdin and prints one JSON line: their "answers", what
became of each where an engine went on with its beginnings ("resumed"), and the "order" in which batch requests that
more than fill the engine and a late interactive one began to speak, and the parameter named for a schema that the
engine cannot enforce ("refused").
"""

import asyncio
import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import yaml
from starlette.datastructures import State
from transformers import AutoTokenizer
from vllm import AsyncEngineArgs
from vllm.entrypoints.launchers.api_server.app_state import init_app_state
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.executor.abstract import Executor

from deployments.llm import LLM
from deployments.settings import ModelConfig, Settings
from rag.errors import InvalidInput
from rag.types import Message, Priority, Prompt
from tests.deployments.test_llm import Replica

AT_ONCE, WAITING = 8, 4
ENDLESS = json.dumps({"type": "array", "items": {"enum": ["It is so."]}, "minItems": 90})
CUT = 5
"""An answer is cut at the end of every fifth token."""


class Engine:
    """The engine as ray.serve.llm's replica holds it: requests in, server-sent events out."""

    def __init__(self, serving: Any) -> None:
        self.serving = serving

    async def chat(self, request: Any, info: Any) -> Any:
        async for line in await self.serving.create_chat_completion(request):
            yield line


async def serving(model: ModelConfig) -> tuple[AsyncLLM, Engine]:
    given = {**model.engine, "max_model_len": model.context, "max_num_seqs": AT_ONCE, "served_model_name": model.id}
    config = AsyncEngineArgs(model=model.path, kv_cache_memory_bytes=2**28, **given).create_engine_config()
    config.parallel_config.distributed_executor_backend = "uni"  # as deployments/engine.py does
    engine = AsyncLLM(vllm_config=config, executor_class=Executor.get_class(config), log_stats=False)
    parsed = make_arg_parser(FlexibleArgumentParser()).parse_args([])
    parsed.model, parsed.served_model_name = model.path, [model.id]
    state = State()
    tasks = await engine.get_supported_tasks()
    await init_app_state(engine, state, Namespace(**vars(parsed)), tasks)
    return engine, Engine(state.openai_serving_chat)


async def said(engine: Engine, messages: tuple[Message, ...], begun: str = "") -> str:
    """The whole answer, of which `begun` is there already."""
    prompt = Prompt("quote", messages, max_tokens=300, begun=begun)
    return begun + "".join([piece.text async for piece in LLM.generate(Replica(engine), prompt)])  # type: ignore[arg-type]


async def order(engine: Engine) -> list[str]:
    """Fill the engine, let more batch requests wait, and then let an interactive one come."""
    order: list[str] = []
    full = asyncio.Event()

    async def ask(name: str, priority: Priority) -> None:
        prompt = Prompt("quote", (Message("user", f"Count, {name}."),), 300, schema=ENDLESS, priority=priority)
        async for piece in LLM.generate(Replica(engine), prompt):  # type: ignore[arg-type]
            if piece.text and name not in order:
                order.append(name)
                if len(order) == AT_ONCE:
                    full.set()

    async with asyncio.TaskGroup() as group:
        for n in range(AT_ONCE + WAITING):
            group.create_task(ask(f"batch {n}", "batch"))
        await full.wait()
        group.create_task(ask("interactive", "interactive"))
    return order


async def refused(engine: Engine) -> str | None:
    """The parameter that is told to be wrong."""
    prompt = Prompt("quote", (Message("user", "Which?"),), schema=json.dumps({"type": "array", "uniqueItems": True}))
    try:
        [_ async for _ in LLM.generate(Replica(engine), prompt)]  # type: ignore[arg-type]
    except InvalidInput as error:
        return error.param
    return None


async def main() -> None:
    args = yaml.safe_load(Path(sys.argv[1]).read_text())["applications"][0]["args"]
    model = Settings.load(args).models[0]
    chats = [tuple(Message(**message) for message in chat) for chat in json.load(sys.stdin)]
    tokenizer = AutoTokenizer.from_pretrained(model.path)

    def beginnings(answer: str) -> list[str]:
        ids = tokenizer(answer, add_special_tokens=False)["input_ids"]
        return [
            text for text in map(tokenizer.decode, (ids[:n] for n in range(1, len(ids), CUT))) if text[-1:] != "\ufffd"
        ]

    core, engine = await serving(model)
    try:
        answers = await asyncio.gather(*(said(engine, chat) for chat in chats))
        resumed = [
            await asyncio.gather(*(said(engine, chat, begun) for begun in beginnings(answer)))
            for chat, answer in zip(chats, answers, strict=True)
        ]
        found = {"answers": answers, "resumed": resumed, "order": await order(engine), "refused": await refused(engine)}
        print(json.dumps(found))
    finally:
        core.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
