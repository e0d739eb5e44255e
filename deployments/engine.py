"""ray.serve.llm's vLLM engine without the two processes that a model on this machine's own cores and disk can spare.

Each of them imports vLLM anew, one after the other, which is most of what a start on the CPU takes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine


class Engine(VLLMEngine):  # type: ignore[misc]
    """VLLM in an engine core of its own, with a worker beside the core only where the core cannot be the worker."""

    async def start(self) -> None:
        """Start the engine; a model that is a folder is not looked for by a task on each node."""
        if self.is_local():
            self.llm_config.get_or_create_callback().ctx.run_init_node = False
        await super().start()

    def is_local(self) -> bool:
        """Whether the model is a folder, and no name on a hub."""
        return Path(self.llm_config.get_engine_config().actual_hf_model_id).is_dir()

    def _start_async_llm_engine(self, arguments: Any, config: Any, placement_group: Any) -> Any:
        if in_one_process(config, (self.llm_config.runtime_env or {}).get("env_vars", {})):
            config.parallel_config.distributed_executor_backend = "uni"
        return super()._start_async_llm_engine(arguments, config, placement_group)


def in_one_process(config: Any, environment: Mapping[str, str]) -> bool:
    """Whether the engine core can run the model itself: one shard on CPU cores, whose threads `environment` settles.

    VLLM's own choice is a worker process, because it settles OpenMP's threads by the environment that it starts with.
    """
    settled = environment.get("VLLM_CPU_OMP_THREADS_BIND") == "nobind" and environment.get("OMP_NUM_THREADS")
    return bool(settled) and config.device_config.device_type == "cpu" and config.parallel_config.world_size == 1
