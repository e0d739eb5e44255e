"""What of a request the router compares, how long it waits, and how it is configured."""

import asyncio
from types import SimpleNamespace

import pytest
import ray
from pydantic import ValidationError
from ray.serve.config import RequestRouterConfig

from deployments import prefix_router
from deployments.affinity import AffinityConfig
from deployments.application import engine
from deployments.prefix_router import LONGEST, PrefixRouter, beginning
from deployments.settings import Settings
from rag.types import Message, Prompt
from tests.deployments.test_profiles import load

SYSTEM = Message("system", "Answer from the passages.")


def test_prompts_that_begin_alike_have_the_same_beginning() -> None:
    one, two = (beginning([Prompt("quote", (SYSTEM, Message("user", text)))]) for text in ("How?", "Why?"))
    assert one.startswith("system: Answer from the passages.\nuser: ")
    assert one[:-4] == two[:-4]
    assert one != two


def test_who_says_it_makes_a_difference() -> None:
    assert beginning([Prompt("quote", (SYSTEM,))]) != beginning([Prompt("quote", (Message("user", SYSTEM.content),))])


def test_a_call_without_a_prompt_has_none_and_a_long_one_is_cut() -> None:
    assert beginning([]) == beginning(["text", {}]) == ""
    assert len(beginning([Prompt("quote", (Message("user", "x" * 2 * LONGEST),))])) == LONGEST


async def test_a_tree_that_does_not_answer_leaves_it_to_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(prefix_router, "PATIENCE_S", 0)
    router = object.__new__(PrefixRouter)
    router._tree_actor = SimpleNamespace(prefix_match=SimpleNamespace(remote=hang))
    request = SimpleNamespace(args=[Prompt("quote", (SYSTEM,))])
    assert await asyncio.wait_for(router._prefix_match_best_replicas(request, []), 5) == [[]]


def test_the_settings_become_the_routers() -> None:
    router = AffinityConfig(enabled=True, imbalance=5, match=0.5, remembered_chars=20_000).router({"site": "onprem"})
    assert router is not None
    assert router["request_router_kwargs"] == {
        "imbalanced_threshold": 5,
        "match_rate_threshold": 0.5,
        "do_eviction": True,
        "eviction_threshold_chars": 20_000,
        "eviction_target_chars": 18_000,
        "eviction_interval_secs": 10,
        "labels": {"site": "onprem"},
    }
    assert RequestRouterConfig(**router).get_request_router_class().__name__ == PrefixRouter.__name__


def test_a_model_has_serves_own_router_unless_it_asks_for_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(runtime_env={}))
    args = load("local.yaml")["applications"][0]["args"]
    for affinity, name in (({}, "PowerOfTwoChoicesRequestRouter"), ({"enabled": True}, "PrefixRouter")):
        model = Settings.load({**args, "models": [{**args["models"][0], "affinity": affinity}]}).models[0]
        config = engine(model, "onprem")._bound_deployment._deployment_config.request_router_config
        assert config.request_router_class.endswith(name)


def test_the_prompts_of_a_private_model_are_remembered_at_home_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(runtime_env={}))
    models = Settings.load(load("gpu.yaml")["applications"][0]["args"]).models
    routers = {m.id: engine(m, "onprem")._bound_deployment._deployment_config.request_router_config for m in models}
    labels = {id: router.request_router_kwargs["labels"] for id, router in routers.items()}
    assert labels == {"llama-70b": {"site": "onprem"}, "qwen-7b": {}}


@pytest.mark.parametrize("wrong", [{"imbalance": 0}, {"match": 0}, {"remembered_chars": 1}, {"unknown": 1}])
def test_affinity_without_a_bound_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        AffinityConfig.model_validate(wrong)
