"""The Serve files are what Ray and we take them for."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import yaml
from pydantic import ValidationError
from ray.serve import Application
from ray.serve.schema import ServeDeploySchema

from deployments.application import build, engine_config
from deployments.settings import ROOT, Settings
from guardrails.policy import parse_policy

CLUSTER = ROOT / "cluster"
PROFILES = ["local.yaml", "gpu.yaml", "cloud.yaml"]


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """ray.serve.llm asks for the driver's runtime environment, which would start a Ray of its own."""
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(runtime_env={}))


def load(name: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((CLUSTER / name).read_text())
    return config


def deployments(application: Application) -> dict[str, Any]:
    """The bound deployments by name. Serve's own build would start Ray."""
    ingress = application._bound_deployment
    _, stages = ingress.init_args
    return {d.name: d for d in (ingress, *(stage._bound_deployment for stage in stages.values()))}


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_passes_rays_schema_and_ours(name: str) -> None:
    config = load(name)
    ServeDeploySchema.model_validate(config)
    Settings.load(config["applications"][0]["args"])


@pytest.mark.parametrize("name", PROFILES)
def test_every_deployment_is_built_and_configured_and_bounded(name: str) -> None:
    application = load(name)["applications"][0]
    built = deployments(build(application["args"]))
    configured = {d["name"]: d for d in application["deployments"]}
    assert set(configured) == set(built)
    for options in configured.values():
        assert options["max_ongoing_requests"] > 0
        assert options["max_queued_requests"] > 0
        assert options["autoscaling_config"]["max_replicas"] >= options["autoscaling_config"]["min_replicas"] >= 1


def test_the_gpu_profile_shards_its_model_over_gpus_in_one_place() -> None:
    settings = Settings.load(load("gpu.yaml")["applications"][0]["args"])
    big = engine_config(settings.models[0])
    assert big.engine_kwargs["tensor_parallel_size"] == 4
    assert big.engine_kwargs["structured_outputs_config"] == {"backend": "xgrammar"}
    other = {"structured_outputs_config": {"backend": "guidance"}}
    chosen = settings.models[0].model_copy(update={"engine": other})
    assert engine_config(chosen).engine_kwargs["structured_outputs_config"] == {"backend": "guidance"}
    built = deployments(build(load("gpu.yaml")["applications"][0]["args"]))["LLM:llama-70b"]
    bundles = built._replica_config.placement_group_bundles
    assert sum(b.get("GPU", 0) for b in bundles) == 4
    assert built._replica_config.placement_group_strategy == "STRICT_PACK"


def test_an_embedded_store_has_one_replica() -> None:
    local = {d["name"]: d for d in load("local.yaml")["applications"][0]["deployments"]}
    assert local["Retriever"]["autoscaling_config"]["max_replicas"] == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"models": []}, "models"),
        ({"models": [{"id": "a", "source": "x"}, {"id": "a", "source": "y"}]}, "models"),
        ({"retrieve": {"top_k": 0}}, "retrieve.top_k"),
        ({"unknown": 1}, "unknown"),
        ({"http": {"api_keys": [{"name": "a", "sha256": "secret"}]}}, "http.api_keys.0.sha256"),
        ({"policy": {"input": {"jailbreak": {}}}}, "policy.input.jailbreak"),
        ({"policy": {"input": {"repetition": {"threshold": 2}}}}, "policy.input.repetition.threshold"),
    ],
)
def test_a_bad_setting_is_named(change: dict[str, Any], field: str) -> None:
    args = {**load("local.yaml")["applications"][0]["args"], **change}
    with pytest.raises(ValidationError) as error:
        Settings.load(args)
    assert field in {".".join(map(str, e["loc"])) or "models" for e in error.value.errors()}


KEY: dict[str, Any] = {"name": "a", "sha256": "0" * 64}
QUOTE: dict[str, Any] = {"id": "quote", "source": "models/quote"}
SLEEPY: dict[str, Any] = {"to_zero": True}
LLM = {"mode": "llm", "model": "quote"}
RAILS = {"models": [{"type": "main", "engine": "raglan", "model": "quote"}]}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (
            {"http": {"api_keys": [KEY, {**KEY, "policy": {"output": {"leaks": {"words": 1}}}}]}},
            r"http\.api_keys\.1\.policy: output\.leaks\.words: ",
        ),
        ({"rails": {"models": [{"type": "main", "engine": "raglan", "model": "x"}]}}, r"rails\.models\.0\.model: "),
        (
            {"models": [{**QUOTE, "scaling": SLEEPY}], "followup": LLM},
            r"models\.0\.scaling\.to_zero: ",
        ),
        (
            {"models": [{**QUOTE, "scaling": SLEEPY}], "rails": RAILS},
            r"models\.0\.scaling\.to_zero: ",
        ),
        ({"models": [{**QUOTE, "scaling": {**SLEEPY, "wake_s": 120}}]}, r"models\.0\.scaling\.wake_s: a request ends"),
    ],
)
def test_what_does_not_fit_together_is_named(change: dict[str, Any], field: str) -> None:
    args = {**load("local.yaml")["applications"][0]["args"], **change}
    with pytest.raises(ValidationError, match=field):
        Settings.load(args)


def test_a_policy_changes_the_shipped_one_and_a_key_changes_that() -> None:
    strict = {"input": {"pii": {"action": "block"}}}
    args = {
        **load("local.yaml")["applications"][0]["args"],
        "policy": {"input": {"phrases": {"action": "flag"}}},
        "http": {"api_keys": [{**KEY, "policy": strict}]},
    }
    settings = Settings.load(args)
    everybody, key = (parse_policy(settings.policies().of(change).text) for change in ({}, strict))
    assert (everybody.input.phrases.action, everybody.input.pii.action) == ("flag", "flag")
    assert (key.input.phrases.action, key.input.pii.action) == ("flag", "block")
    assert settings.digest != Settings.load({**args, "policy": {}}).digest


def test_rails_that_are_wrong_are_refused_before_anything_is_deployed(tmp_path: Path) -> None:
    args = load("local.yaml")["applications"][0]["args"]
    with pytest.raises(ValueError, match=r"^rails\.config: "):
        build({**args, "rails": {"config": str(tmp_path / "missing")}})


def test_the_validator_protects_the_prompts_in_use_and_a_missing_one_is_refused() -> None:
    args = load("gpu.yaml")["applications"][0]["args"]
    *_, protected = deployments(build(args))["Validator"].init_args
    told = "\n".join(protected)
    assert "You answer questions from the numbered passages below" in told
    assert "You rewrite the last question of a conversation" in told
    assert "Evidence:" not in told  # of the demo model's, which this profile does not use
    models = [{**args["models"][0], "prompt": "nothing@1"}]
    with pytest.raises(ValueError, match=r"models\.prompt.*nothing@1"):
        build({**args, "models": models})


def test_only_the_users_own_rails_get_the_engines(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("rails: {input: {flows: [regex check input]}}")
    args = load("local.yaml")["applications"][0]["args"]
    for rails, engines in (({}, []), ({"config": str(tmp_path)}, ["quote"])):
        built = deployments(build({**args, "rails": rails}))
        assert [list(built[side].init_args[1]) for side in ("Guard", "Validator")] == [engines] * 2


def test_langfuse_keys_come_from_the_environment_and_stay_out_of_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    args = load("local.yaml")["applications"][0]["args"]
    digests = []
    for key in ("sk-lf-one", "sk-lf-two"):
        monkeypatch.setenv("LANGFUSE_SECRET_KEY", key)
        monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk-lf")
        settings = Settings.load(args)
        assert settings.tracing.enabled
        assert key not in repr(settings)
        digests.append(settings.digest)
    assert digests[0] == digests[1]


def test_the_qdrant_key_comes_from_the_environment_unless_the_file_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QDRANT_API_KEY", "from-outside")
    args = load("gpu.yaml")["applications"][0]["args"]
    keys = [
        Settings.load({**args, "store": {**args["store"], **own}}).store.api_key for own in ({}, {"api_key": "own"})
    ]
    assert [key.get_secret_value() for key in keys if key] == ["from-outside", "own"]
    assert Settings.load(args).store.url == args["store"]["url"]


def test_paths_do_not_depend_on_where_the_process_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.load(load("local.yaml")["applications"][0]["args"])
    assert Path(settings.models[0].path).is_absolute()
