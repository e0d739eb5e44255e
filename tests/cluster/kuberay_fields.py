"""The fields of KubeRay 1.7's RayService, as its API reference lists them: an unknown one is refused.

The published CRD is in no package that the tests could install. Kubernetes' own parts within it (pods, references to
secrets) are left to Kubernetes' schemas.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class AuthOptions(Closed):
    mode: Literal["disabled", "token"]
    secretName: str | None = None


class Credential(Closed):
    value: str | None = None
    valueFrom: dict[str, Any] | None = None


class GcsFaultToleranceOptions(Closed):
    redisAddress: str
    redisUsername: Credential | None = None
    redisPassword: Credential | None = None
    externalStorageNamespace: str | None = None


class AutoscalerOptions(Closed):
    version: Literal["v1", "v2"]
    upscalingMode: Literal["Default", "Aggressive", "Conservative"] | None = None
    idleTimeoutSeconds: int | None = None
    image: str | None = None
    imagePullPolicy: Literal["Always", "IfNotPresent", "Never"] | None = None
    resources: dict[str, Any] | None = None
    securityContext: dict[str, Any] | None = None
    env: list[dict[str, Any]] | None = None
    envFrom: list[dict[str, Any]] | None = None
    volumeMounts: list[dict[str, Any]] | None = None


class Group(Closed):
    labels: dict[str, str] | None = None
    resources: dict[str, str]
    rayStartParams: dict[str, str]
    template: dict[str, Any]


class HeadGroup(Group):
    serviceType: Literal["ClusterIP", "NodePort", "LoadBalancer"] | None = None
    headService: dict[str, Any] | None = None
    enableIngress: bool | None = None


class WorkerGroup(Group):
    groupName: str = Field(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$")
    priority: int | None = None
    idleTimeoutSeconds: int | None = Field(None, ge=0)
    replicas: int = Field(ge=0)
    minReplicas: int = Field(ge=0)
    maxReplicas: int = Field(ge=0)
    numOfHosts: int = Field(1, ge=1)
    suspend: bool | None = None
    scaleStrategy: dict[str, Any] | None = None


class ClusterSpec(Closed):
    rayVersion: str
    authOptions: AuthOptions
    gcsFaultToleranceOptions: GcsFaultToleranceOptions
    enableInTreeAutoscaling: bool
    autoscalerOptions: AutoscalerOptions
    headGroupSpec: HeadGroup
    workerGroupSpecs: list[WorkerGroup]
    headServiceAnnotations: dict[str, str] | None = None
    suspend: bool | None = None
    managedBy: str | None = None


class UpgradeStrategy(Closed):
    type: Literal["NewCluster", "NewClusterWithIncrementalUpgrade", "None"]


class ServiceSpec(Closed):
    serveConfigV2: str
    rayClusterConfig: ClusterSpec
    upgradeStrategy: UpgradeStrategy | None = None
    excludeHeadPodFromServeSvc: bool | None = None
    serveService: dict[str, Any] | None = None
    rayClusterDeletionDelaySeconds: int | None = None


class RayService(Closed):
    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayService"]
    metadata: dict[str, Any]
    spec: ServiceSpec
