"""Run by `test_priority.py`: of batch requests that fill the engine and a late interactive one, who speaks when.

`python -m tests.deployments.order_of_vllm PROFILE` starts the engine of a Serve YAML's first model, for two requests at
a time, and prints one JSON line: {"order": [...]}, the names of the requests in the order of their first texts.
"""

import asyncio
import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import yaml
from starlette.datastructures import State
from vllm import AsyncEngineArgs
from vllm.entrypoints.launchers.api_server.app_state import init_app_state
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.executor.abstract import Executor

from deployments.llm import LLM
from deployments.settings import Settings
from rag.types import Message, Priority, Prompt
from tests.deployments.test_llm import Replica

AT_ONCE, WAITING = 2, 4
ENDLESS = json.dumps({"type": "array", "items": {"enum": ["It is so."]}, "minItems": 90})


class Chat:
    """The engine as ray.serve.llm's replica holds it: requests in, server-sent events out."""

    def __init__(self, serving: Any) -> None:
        self.serving = serving

    async def chat(self, request: Any, info: Any) -> Any:
        async for line in await self.serving.create_chat_completion(request):
            yield line


async def serving(profile: Path) -> tuple[AsyncLLM, Chat]:
    args = yaml.safe_load(profile.read_text())["applications"][0]["args"]
    model = Settings.load(args).models[0]
    given = {**model.engine, "max_model_len": model.context, "max_num_seqs": AT_ONCE, "served_model_name": model.id}
    config = AsyncEngineArgs(model=model.path, kv_cache_memory_bytes=2**28, **given).create_engine_config()
    config.parallel_config.distributed_executor_backend = "uni"  # as deployments/engine.py does
    engine = AsyncLLM(vllm_config=config, executor_class=Executor.get_class(config), log_stats=False)
    parsed = make_arg_parser(FlexibleArgumentParser()).parse_args([])
    parsed.model, parsed.served_model_name = model.path, [model.id]
    state = State()
    tasks = await engine.get_supported_tasks()
    await init_app_state(engine, state, Namespace(**vars(parsed)), tasks)
    return engine, Chat(state.openai_serving_chat)


async def order(chat: Chat) -> list[str]:
    """Fill the engine, let more batch requests wait, and then let an interactive one come."""
    order: list[str] = []
    full = asyncio.Event()

    async def ask(name: str, priority: Priority) -> None:
        prompt = Prompt("quote", (Message("user", f"Count, {name}."),), 300, schema=ENDLESS, priority=priority)
        async for piece in LLM.generate(Replica(chat), prompt):  # type: ignore[arg-type]
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


async def main() -> None:
    engine, chat = await serving(Path(sys.argv[1]))
    try:
        print(json.dumps({"order": await order(chat)}))
    finally:
        engine.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
