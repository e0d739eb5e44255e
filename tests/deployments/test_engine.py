"""Which processes an engine replica does without, and only then."""

from pathlib import Path
from types import SimpleNamespace as Space
from typing import Any

import pytest
from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine

from benchmarks.chaos_engine import PATH, FakeEngine
from deployments.engine import Engine, in_one_process
from deployments.llm import LLM

SETTLED = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}


class Silent(LLM):
    """One that leaves no coroutine behind: the original's `__del__` is one."""

    def __del__(self) -> None: ...  # type: ignore[override]


def config(device: str = "cpu", shards: int = 1) -> Any:
    return Space(device_config=Space(device_type=device), parallel_config=Space(world_size=shards))


@pytest.mark.parametrize(
    ("engine", "environment", "one"),
    [
        (config(), SETTLED, True),
        (config(shards=2), SETTLED, False),
        (config("cuda"), SETTLED, False),
        (config(), {**SETTLED, "VLLM_CPU_OMP_THREADS_BIND": "0"}, False),
        (config(), {"VLLM_CPU_OMP_THREADS_BIND": "nobind"}, False),
        (config(), {}, False),
    ],
)
def test_the_core_is_the_worker_of_one_shard_on_cores_whose_threads_are_settled(
    engine: Any, environment: dict[str, str], one: bool
) -> None:
    assert in_one_process(engine, environment) is one


@pytest.mark.parametrize(("runtime_env", "executor"), [({"env_vars": SETTLED}, "uni"), (None, "mp")])
def test_the_executor_is_chosen_before_the_engine_starts(
    runtime_env: dict[str, Any] | None, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VLLMEngine, "_start_async_llm_engine", lambda self, arguments, config, group: config)
    given = config()
    given.parallel_config.distributed_executor_backend = "mp"
    engine = Engine.__new__(Engine)
    engine.llm_config = Space(runtime_env=runtime_env)
    started = engine._start_async_llm_engine(None, given, None)
    assert started.parallel_config.distributed_executor_backend == executor


@pytest.mark.parametrize(("named", "engine"), [("", Engine), (PATH, FakeEngine)])
def test_another_engine_can_be_named(named: str, engine: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYLLM_VLLM_ENGINE_CLS", named)
    server = Silent.__new__(Silent)
    server._init_shared(Space(multiplex_config=lambda: None), None, None)
    assert server._engine_cls is engine


@pytest.mark.parametrize("local", [True, False])
async def test_only_a_model_that_is_no_folder_is_fetched_by_each_node(
    local: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def started(self: VLLMEngine) -> None: ...

    monkeypatch.setattr(VLLMEngine, "start", started)
    context = Space(run_init_node=True)
    source = str(tmp_path) if local else "some/model"
    engine = Engine.__new__(Engine)
    engine.llm_config = Space(
        get_engine_config=lambda: Space(actual_hf_model_id=source),
        get_or_create_callback=lambda: Space(ctx=context),
    )
    await engine.start()
    assert context.run_init_node is not local


@pytest.mark.parametrize("reports", ["0", "1"])
async def test_a_model_is_reported_only_where_rays_reports_are_on(
    reports: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    calls: list[str] = []

    async def start() -> None:
        calls.append("started")

    where = "ray.llm._internal.serve.core.server.llm_server.push_telemetry_report_for_all_models"
    monkeypatch.setattr(where, lambda *, all_models: told.extend(all_models))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", reports)
    server = Silent.__new__(Silent)
    server.engine, server._llm_config = Space(start=start), "the model"
    await server._start_engine()
    assert (calls, told) == (["started"], ["the model"] if reports == "1" else [])
