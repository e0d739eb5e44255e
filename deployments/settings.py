"""The application's configuration: every section stands beside its user, here they are only put together.

The only place that reads the environment.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from app.services import HttpConfig
from deployments.affinity import AffinityConfig
from deployments.engine_load import ScalingConfig
from deployments.placement import EnginePlacement, Stage, StagePlacement
from deployments.tracing import TracingConfig
from guardrails.own_engine import ENGINE
from guardrails.policy import Policy, load_policy, merged
from guardrails.policy_book import PolicyBook, faults
from guardrails.user_config import RailsConfig
from rag.admission import AdmissionConfig
from rag.chunk import ChunkConfig
from rag.embed import EmbedConfig
from rag.followup import FollowupConfig
from rag.prompt import PromptTemplate, load_templates
from rag.read import ReadConfig
from rag.rerank import RerankConfig
from rag.retrieve import RetrieveConfig
from rag.store import StoreConfig

ROOT = Path(__file__).resolve().parent.parent
SECRETS = {
    ("tracing", "host"): "LANGFUSE_BASE_URL",
    ("tracing", "public_key"): "LANGFUSE_PUBLIC_KEY",
    ("tracing", "secret_key"): "LANGFUSE_SECRET_KEY",
    ("store", "api_key"): "QDRANT_API_KEY",
}
"""Settings that may come from the environment, so that no file holds them; `args` win."""


class ModelConfig(BaseModel):
    """A model that requests may name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, max_length=128, description="The name a request gives in `model`.")
    source: str = Field(description="A Hugging Face id, or a path; a relative one counts from the project's root.")
    prompt: str = Field("passages@1", description="The template in prompts/ that this model is asked with.")
    context: int = Field(4096, ge=256, description="Longest prompt plus answer, in tokens (vLLM's max_model_len).")
    accelerator: Literal["cpu", "gpu"] = Field("gpu", description="What the engine runs on.")
    accelerator_type: str | None = Field(None, description="Ray's name of the GPU type, such as H100; none: any.")
    engine: Mapping[str, Any] = Field(
        default_factory=dict, description="vLLM's engine arguments: tensor_parallel_size, dtype, stream_interval ..."
    )
    env: Mapping[str, str] = Field(default_factory=dict, description="Environment of the engine's processes.")
    replica_cpus: float = Field(1, ge=0, description="Logical CPUs of a replica itself, beside its engine's workers.")
    bundle: Mapping[str, float] | None = Field(
        None, description="Resources of one engine worker in the placement group; none: one CPU or one GPU."
    )
    placement: EnginePlacement = EnginePlacement()
    scaling: ScalingConfig = ScalingConfig()
    affinity: AffinityConfig = AffinityConfig()
    private: bool = Field(False, description="Whether the model's replicas must never leave `home_site`.")

    @property
    def path(self) -> str:
        """`source`, with a relative path made absolute."""
        return str(ROOT / self.source) if (ROOT / self.source).exists() else self.source


def over_shipped(change: Any) -> Any:
    """A Serve YAML's `policy` changes the shipped one."""
    return merged(load_policy().model_dump(exclude_unset=True), change) if isinstance(change, Mapping) else change


class Settings(BaseModel):
    """The `args` of a Serve YAML in cluster/."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[ModelConfig, ...] = Field(min_length=1, description="The models that requests may name.")
    http: HttpConfig = HttpConfig()
    admission: AdmissionConfig = AdmissionConfig()
    embed: EmbedConfig = EmbedConfig()
    store: StoreConfig = StoreConfig()
    read: ReadConfig = ReadConfig()
    chunk: ChunkConfig = ChunkConfig()
    retrieve: RetrieveConfig = RetrieveConfig()
    followup: FollowupConfig = FollowupConfig()
    rerank: RerankConfig = RerankConfig()
    policy: Annotated[Policy, BeforeValidator(over_shipped)] = Field(default_factory=load_policy)
    rails: RailsConfig = RailsConfig()
    tracing: TracingConfig = TracingConfig()
    placement: Mapping[Stage, StagePlacement] = Field(
        default_factory=dict, description="Where the replicas of a deployment may stand, by the deployment's name."
    )
    home_site: str = Field(
        "onprem", min_length=1, description="The site that the Retriever and private models never leave."
    )
    stage_timeout_s: float = Field(30, gt=0, description="Longest time for one stage before the engine, in seconds.")
    resume_wait_s: float = Field(
        60,
        ge=0,
        description="Longest wait for another replica to go on with an answer whose engine was lost, in seconds; 0: it "
        "is not continued.",
    )
    feedback_path: Path = Field(Path("var/feedback.jsonl"), description="Where thumbs up and down are appended.")
    reviews_path: Path = Field(
        Path("var/reviews.jsonl"), description="Where flagged exchanges and decisions are appended."
    )
    reviews_max_bytes: int = Field(
        64_000_000, ge=0, description="Bytes of the review queue's file over which newly flagged exchanges are dropped."
    )

    @model_validator(mode="after")
    def known_models(self) -> Self:
        ids = [m.id for m in self.models]
        if len(set(ids)) != len(ids):
            raise ValueError(f"models: two have the same id in {ids}")
        if self.followup.mode == "llm" and self.followup.model not in ids:
            raise ValueError(f"followup.model: {self.followup.model!r} is none of {ids}")
        for n, model in enumerate(self.rails.models):
            if model.get("engine") == ENGINE and model.get("model") not in ids:
                raise ValueError(f"rails.models.{n}.model: {model.get('model')!r} is none of {ids}")
        return self

    @model_validator(mode="after")
    def awake(self) -> Self:
        asked = [m.get("model") for m in self.rails.models]
        if self.followup.mode == "llm":
            asked.append(self.followup.model)
        for n, model in enumerate(self.models):
            if model.scaling.to_zero and model.id in asked:
                raise ValueError(f"models.{n}.scaling.to_zero: follow-up questions or rails ask {model.id!r} too")
            if model.scaling.to_zero and model.scaling.wake_s >= self.http.request_timeout_s:
                raise ValueError(f"models.{n}.scaling.wake_s: a request ends after http.request_timeout_s")
        return self

    @model_validator(mode="after")
    def kept_at_home(self) -> Self:
        for n, model in enumerate(self.models):
            if model.private and not model.placement.stays_at(self.home_site):
                raise ValueError(f"models.{n}.placement: {model.id!r} is private, and may stand off {self.home_site!r}")
        if self.sited and not self.stage("Retriever").stays_at(self.home_site):
            raise ValueError(f"placement.Retriever: it holds the documents, and may stand off {self.home_site!r}")
        return self

    @model_validator(mode="after")
    def fitting_policies(self) -> Self:
        for n, key in enumerate(self.http.api_keys):
            try:
                self.policy.changed(key.policy)
            except ValidationError as error:
                raise ValueError(f"http.api_keys.{n}.policy: {faults(error)}") from error
        return self

    @classmethod
    def load(cls, args: Mapping[str, Any]) -> Self:
        """Validate a YAML's `args`; the environment fills the SECRETS that they leave out."""
        sections: dict[str, Any] = dict(args)
        for (section, field), name in SECRETS.items():
            if found := os.environ.get(name):
                sections[section] = {field: found, **dict(sections.get(section, {}))}
        return cls.model_validate(sections)

    @property
    def sited(self) -> bool:
        """Whether anything says at which site it stands; else the cluster has one."""
        stages = any(place.labels for place in self.placement.values())
        return stages or any(model.private or model.placement.labels for model in self.models)

    def stage(self, name: Stage) -> StagePlacement:
        """What a replica of the deployment `name` asks of its node."""
        return self.placement.get(name, StagePlacement())

    @property
    def prompts_in_use(self) -> tuple[str, ...]:
        """The names of the templates that engines are asked with."""
        return tuple(sorted({self.followup.prompt, *(m.prompt for m in self.models)}))

    def templates(self) -> dict[str, PromptTemplate]:
        """Every template in prompts/. Raises ValueError naming a bad file, or one in use that is missing."""
        found = load_templates(ROOT / "prompts")
        if missing := [name for name in self.prompts_in_use if name not in found]:
            raise ValueError(f"models.prompt, followup.prompt: no such template in prompts/: {', '.join(missing)}")
        return found

    def policies(self) -> PolicyBook:
        """The guardrails' policies in force at start."""
        return PolicyBook(self.policy, [key.policy for key in self.http.api_keys])

    @property
    def digest(self) -> str:
        """Twelve hex digits that change with any setting; secrets are left out."""
        return hashlib.sha256(self.model_dump_json(exclude={"tracing": {"secret_key"}}).encode()).hexdigest()[:12]


def absolute(path: Path) -> Path:
    """A relative path counts from the project's root, wherever the process runs."""
    return path if path.is_absolute() else ROOT / path
