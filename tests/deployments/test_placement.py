"""What the placement settings refuse, and what Ray makes of those they take."""

from types import SimpleNamespace
from typing import Any

import pytest
import ray
from pydantic import ValidationError

from deployments import placement
from deployments.application import build, engine_config
from deployments.llm import LLM
from deployments.placement import EnginePlacement, StagePlacement, stand_at
from deployments.retriever import Retriever
from deployments.settings import Settings
from tests.deployments.test_profiles import PROFILES, deployments, load

HOME = {"labels": {"site": "onprem"}}
EITHER = {**HOME, "fallback": [{"site": "cloud"}]}


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """ray.serve.llm asks for the driver's runtime environment, which would start a Ray of its own."""
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(runtime_env={}))


def args(place: dict[str, Any], **model: Any) -> dict[str, Any]:
    """The local profile with one model, changed by `model`, and the placement of stages `place`."""
    local = load("local.yaml")["applications"][0]["args"]
    return {**local, "models": [{**local["models"][0], **model}], "placement": place}


@pytest.mark.parametrize(
    ("place", "model", "message"),
    [
        ({"Retriever": HOME}, {"private": True}, r"models\.0\.placement: 'quote' is private"),
        ({"Retriever": HOME}, {"private": True, "placement": EITHER}, r"models\.0\.placement: 'quote' is private"),
        ({}, {"private": True, "placement": HOME}, r"placement\.Retriever: it holds the documents"),
        ({}, {"placement": EITHER}, r"placement\.Retriever: it holds the documents"),
        ({"Ingress": EITHER}, {}, r"placement\.Retriever: it holds the documents"),
        ({"Retriever": EITHER}, {}, r"placement\.Retriever: it holds the documents"),
        ({"Retriever": {"labels": {"gpu": "h100"}}}, {}, r"placement\.Retriever: it holds the documents"),
        ({"Retriever": {"fallback": [{"site": "onprem"}]}}, {}, r"a fallback needs labels"),
        ({"Retriever": {**HOME, "fallback": [{}]}}, {}, r"an entry without labels would allow every node"),
        ({"Retriever": {"labels": {"site": "!cloud"}}}, {}, r"'!cloud' is no label of a node"),
        ({"Retriever": {"labels": {"site": ""}}}, {}, r"is no label of a node"),
        ({"Retriver": HOME}, {}, r"placement\.Retriver"),
        ({"Retriever": {**HOME, "gpus": 1}}, {}, r"placement\.Retriever\.gpus"),
    ],
)
def test_what_would_let_data_off_its_site_is_refused(place: Any, model: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings.load(args(place, **model))


@pytest.mark.parametrize(
    ("place", "model"),
    [
        ({}, {}),
        ({"Retriever": HOME}, {}),
        ({"Retriever": HOME, "Ingress": EITHER}, {"private": True, "placement": HOME}),
        ({"Retriever": {"labels": {"site": "onprem", "disk": "ssd"}, "fallback": [{"site": "onprem"}]}}, {}),
    ],
)
def test_what_keeps_data_at_its_site_is_taken(place: Any, model: Any) -> None:
    Settings.load(args(place, **model))


def test_another_site_may_be_home() -> None:
    abroad = {"labels": {"site": "frankfurt"}}
    Settings.load({**args({"Retriever": abroad}), "home_site": "frankfurt"})
    with pytest.raises(ValidationError, match=r"placement\.Retriever"):
        Settings.load({**args({"Retriever": HOME}), "home_site": "frankfurt"})


def test_a_stage_asks_ray_for_its_labels_in_order() -> None:
    place = StagePlacement.model_validate({"cpus": 2, **HOME, "fallback": [{"site": "cloud"}, {"site": "far"}]})
    assert place.actor_options() == {
        "num_cpus": 2,
        "label_selector": {"site": "onprem"},
        "fallback_strategy": [{"label_selector": {"site": "cloud"}}, {"label_selector": {"site": "far"}}],
    }
    assert StagePlacement().actor_options() == {"num_cpus": 1}


@pytest.mark.parametrize(
    ("labels", "fallback", "selector"),
    [
        ({}, [], {}),
        ({"site": "onprem"}, [], {"site": "onprem"}),
        ({"site": "onprem"}, [{"site": "cloud"}], {"site": "in(onprem,cloud)"}),
        ({"site": "a", "gpu": "x"}, [{"site": "b", "gpu": "x"}], {"site": "in(a,b)", "gpu": "x"}),
    ],
)
def test_an_engines_choices_become_one_selector(labels: Any, fallback: Any, selector: Any) -> None:
    assert EnginePlacement(labels=labels, fallback=tuple(fallback)).selector() == selector


@pytest.mark.parametrize("fallback", [[{"site": "b"}], [{"site": "b", "gpu": "y"}]])
def test_choices_that_one_selector_cannot_say_are_refused(fallback: Any) -> None:
    with pytest.raises(ValidationError, match="differ in the value of one label only"):
        EnginePlacement(labels={"site": "a", "gpu": "x"}, fallback=tuple(fallback))


def test_the_gpu_profile_is_built_with_its_placement() -> None:
    built = deployments(build(load("gpu.yaml")["applications"][0]["args"]))
    retriever, ingress = built["Retriever"]._replica_config, built["Ingress"]._replica_config
    assert retriever.ray_actor_options["label_selector"] == {"site": "onprem"}
    assert "fallback_strategy" not in retriever.ray_actor_options
    assert ingress.ray_actor_options["fallback_strategy"] == [{"label_selector": {"site": "cloud"}}]
    private, public = built["LLM:llama-70b"], built["LLM:qwen-7b"]
    assert private._replica_config.placement_group_bundle_label_selector == [{"site": "onprem"}] * 4
    assert public._replica_config.placement_group_bundle_label_selector == [{"site": "in(onprem,cloud)"}]
    assert private.init_kwargs["site"] == "onprem"
    assert "site" not in public.init_kwargs
    assert built["Retriever"].init_args[-1] == "onprem"


def test_one_site_asks_for_no_labels() -> None:
    built = deployments(build(load("local.yaml")["applications"][0]["args"]))
    assert all("label_selector" not in d._replica_config.ray_actor_options for d in built.values())
    assert built["LLM:quote"]._replica_config.placement_group_bundle_label_selector is None
    assert built["Retriever"].init_args[-1] is None


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_drops_no_placement(name: str) -> None:
    """Serve replaces the whole of a deployment's actor options by those of the YAML."""
    application = load(name)["applications"][0]
    placed = application["args"].get("placement", {})
    assert not [d["name"] for d in application["deployments"] if d["name"] in placed and "ray_actor_options" in d]


@pytest.mark.parametrize("labels", [{}, {"site": "cloud"}])
def test_a_replica_on_a_wrong_node_does_not_start(labels: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_labels=lambda: labels))
    with pytest.raises(RuntimeError, match="must stand at the site 'onprem'"):
        stand_at("onprem")
    stand_at(None)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_labels=lambda: {"site": "onprem"}))
    stand_at("onprem")


async def test_the_retriever_and_an_engine_check_their_node_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_labels=lambda: {"site": "cloud"}))
    settings = Settings.load(load("gpu.yaml")["applications"][0]["args"])
    nobody: Any = SimpleNamespace()
    with pytest.raises(RuntimeError, match="must stand at the site"):
        await Retriever.__init__(nobody, settings.store, 384, settings.tracing, "onprem")
    with pytest.raises(RuntimeError, match="must stand at the site"):
        await LLM.__init__(nobody, engine_config(settings.models[0]), scaling=settings.models[0].scaling, site="onprem")
    assert vars(nobody) == {}


def test_the_accelerators_share_is_rays() -> None:
    built = deployments(build(load("gpu.yaml")["applications"][0]["args"]))
    bundle = built["LLM:qwen-7b"]._replica_config.placement_group_bundles[0]
    assert bundle["accelerator_type:H100"] == placement.ACCELERATOR_SHARE
