"""The whole wiring, top to bottom: every `.bind()` of the project. `serve run cluster/local.yaml` calls `build`."""

from typing import Any

from ray import serve
from ray.serve import Application, Deployment
from ray.serve.config import RequestRouterConfig
from ray.serve.llm import LLMConfig, build_llm_deployment

from deployments.embedder import Embedder
from deployments.guard import Guard
from deployments.handles import RemoteLLM
from deployments.ingress import Ingress
from deployments.llm import LLM
from deployments.placement import SITE, Stage
from deployments.reranker import Reranker
from deployments.retriever import Retriever
from deployments.settings import ModelConfig, Settings, absolute
from deployments.validator import Validator
from guardrails.own_engine import register
from guardrails.user_config import RailsConfig, check_rails
from rag.embed import BUNDLED


def build(args: dict[str, Any]) -> Application:
    """Wire the graph from a Serve YAML's `args`. Raises ValueError (pydantic's too) naming the field at fault."""
    settings = Settings.load(args)
    tracing = settings.tracing
    rails = own_rails(settings.rails)
    engines = {model.id: engine(model, settings.home_site) for model in settings.models}
    asked = engines if rails.config else {}
    embed = settings.embed.model_copy(update={"onnx_path": absolute(settings.embed.onnx_path)})
    store = settings.store.model_copy(update={"path": absolute(settings.store.path)})
    home = settings.home_site if settings.sited else None
    templates = settings.templates()
    prompts = tuple(text for name in settings.prompts_in_use for text in templates[name].texts)

    def stage(kind: type, name: Stage) -> Deployment:
        return serve.deployment(kind, name=name, ray_actor_options=settings.stage(name).actor_options())

    embedder = stage(Embedder, "Embedder").bind(embed, tracing)
    stages = {
        "Embedder": embedder,
        "Guard": stage(Guard, "Guard").bind(embedder, asked, rails, tracing, embed.model == BUNDLED),
        "Retriever": stage(Retriever, "Retriever").bind(store, settings.embed.dimensions, tracing, home),
        "Reranker": stage(Reranker, "Reranker").bind(settings.rerank, embed, store, tracing),
        "Validator": stage(Validator, "Validator").bind(rails, asked, tracing, prompts),
    }
    named = {f"LLM:{id}": bound for id, bound in engines.items()}
    return stage(Ingress, "Ingress").bind(settings, {**named, **stages})  # started in this order: the slowest first


def own_rails(config: RailsConfig) -> RailsConfig:
    """The user's rails with their folder made absolute, built once and their endpoints reached. Raises ValueError.

    So wrong ones are refused before any replica changes. A replica that starts later asks no endpoint: while one is
    down, what its rails do on an error is for the policy to say.
    """
    if config.config is None:
        return config
    found = config.model_copy(update={"config": absolute(config.config)})
    register(RemoteLLM({}))
    check_rails(found)
    return found


def engine(model: ModelConfig, home_site: str) -> Application:
    """One model's deployment. Its whole group stands on one node, and where it is private, at `home_site`."""
    kwargs: dict[str, Any] = {"scaling": model.scaling}
    if model.private:
        kwargs["site"] = home_site
    options: dict[str, Any] = {}
    if selector := model.placement.selector():
        options["placement_group_bundle_label_selector"] = [selector]
    if router := model.affinity.router({SITE: home_site} if model.private else {}):
        options["request_router_config"] = RequestRouterConfig(**router)
    return build_llm_deployment(
        engine_config(model),
        name_prefix="LLM:",
        deployment_cls=LLM,
        bind_kwargs=kwargs,
        override_serve_options=options,
    )


def engine_config(model: ModelConfig) -> LLMConfig:
    """ray.serve.llm's configuration of one model. Its streamed pieces are never held back.

    Unless the model says otherwise, one backend checks and enforces all JSON schemas: left to vLLM's `auto`, the first
    request chooses it for the engine's life, and others then fail on what it does not know.
    """
    bundle = model.bundle or ({"CPU": 1} if model.accelerator == "cpu" else {"GPU": 1})
    return LLMConfig(
        model_loading_config={"model_id": model.id, "model_source": model.path},
        accelerator_type=model.accelerator_type,
        accelerator_config={"kind": model.accelerator},
        placement_group_config={"bundle_per_worker": dict(bundle), "strategy": "STRICT_PACK"},
        deployment_config={"ray_actor_options": {"num_cpus": model.replica_cpus}},
        engine_kwargs={
            "max_model_len": model.context,
            "enable_per_request_metrics": True,
            "structured_outputs_config": {"backend": "xgrammar"},
            **model.engine,
        },
        experimental_configs={"stream_batching_interval_ms": 0},
        runtime_env={"env_vars": dict(model.env)},
    )
