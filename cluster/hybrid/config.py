"""The `provider` section of a hybrid cluster file: pools, budgets, back-off, workloads.

It knows neither Ray nor the rest of the file; `cluster_file.py` checks the two against each other.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

POOL_NAME = r"^[a-z][a-z0-9-]{0,30}$"
START = 'ray start --address="$RAY_ADDRESS"'
STOP = "ray stop"

PoolName = Annotated[str, Field(pattern=POOL_NAME)]
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:-]*$")]


class Closed(BaseModel):
    """A frozen model that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BackOff(Closed):
    """How long what fails to start is set aside: `first_s`, then `factor` times longer each time, up to `longest_s`."""

    first_s: float = Field(30, gt=0, description="Seconds after the first failure.")
    factor: float = Field(2, ge=1, description="How much longer after each further failure in a row.")
    longest_s: float = Field(600, gt=0, description="The longest time, in seconds.")


class Budget(Closed):
    """What a pool may hold at most; a field left out sets no limit."""

    nodes: int | None = Field(None, ge=0, description="Nodes at the same time, those being started included.")
    per_hour: float | None = Field(None, ge=0, description="Currency per hour of all its nodes together.")


class Offer(Closed):
    """A node type in its pool."""

    price_per_hour: float = Field(0, ge=0, description="Currency per hour of one node.")
    min_nodes: int = Field(0, ge=0, description="Nodes that are kept without any demand, as far as they can be had.")


class Pool(Closed):
    """What every pool has."""

    node_types: dict[str, Offer] = Field(min_length=1, description="The node types it starts; each has one pool.")
    private: bool = Field(False, description="Whether data that must not leave may be worked on here.")
    priority: int = Field(0, description="Among owned pools the higher is filled first.")
    budget: Budget = Budget()


class HostPool(Pool):
    """Owned machines, named one by one: a pool of equal hosts with one node type."""

    hosts: list[Host] = Field(min_length=1, description="Addresses of its hosts, in the order in which they are used.")
    start_command: str = Field(START, description="Joins the host to the cluster; `RAY_ADDRESS` is the head's address.")
    join_timeout_s: float = Field(60, gt=0, description="How long a started host may take to appear in the cluster.")

    @model_validator(mode="after")
    def _one_node_type(self) -> Self:
        if len(self.node_types) != 1:
            raise ValueError("a pool of hosts has exactly one node type, because its hosts are equal")
        if len(set(self.hosts)) != len(self.hosts):
            raise ValueError("a host is listed twice")
        return self


class Ssh(Closed):
    """How hosts are reached."""

    user: str | None = Field(None, description="Login name; ssh's own default when left out.")
    key: Path | None = Field(None, description="Private key; ssh's own default when left out.")
    port: int = Field(22, ge=1, le=65535)
    connect_timeout_s: int = Field(3, ge=1, description="How long a host that does not answer is waited for.")
    command_timeout_s: float = Field(60, gt=0, description="How long a start or stop may take.")


class OnPremPool(HostPool):
    """Hosts that are started over SSH, or that join by themselves."""

    kind: Literal["onprem"]
    start: Literal["ssh", "joined"] = Field(
        "ssh", description="`joined`: the hosts join by themselves; none is started or ended here."
    )
    ssh: Ssh = Ssh()
    stop_command: str = Field(STOP, description="Ends Ray on the host.")


class LocalPool(HostPool):
    """Ray nodes as processes of this machine; `hosts` are names of slots. For tests and trials."""

    kind: Literal["local"]
    owned: bool = Field(True, description="Off: ranked by price, as a cloud.")


class CloudPool(Pool):
    """Machines of a cloud, through one of Ray's own node providers."""

    kind: Literal["cloud"]
    provider: dict[str, Any] = Field(description="The `provider` section that Ray's provider of this cloud expects.")
    auth: dict[str, Any] = Field({}, description="Replaces fields of the file's `auth` for this pool.")
    launch_timeout_s: float = Field(300, gt=0, description="A launch without an answer after this counts as failed.")

    @model_validator(mode="after")
    def _known_cloud(self) -> Self:
        known = ("aws", "gcp", "azure", "external")
        if self.provider.get("type") not in known:
            raise ValueError(f"provider.type must be one of {', '.join(known)}")
        return self


AnyPool = Annotated[OnPremPool | LocalPool | CloudPool, Field(discriminator="kind")]


class Workload(Closed):
    """Something that will run on the cluster, declared so that a file which cannot carry it is refused."""

    name: str = Field(min_length=1)
    resources: dict[str, float] = Field(description="What one replica asks of one node.")
    labels: dict[str, str] = Field({}, description="Labels that its node must have.")
    count: int = Field(1, ge=1, description="How many replicas the dry run asks for.")
    private: bool = Field(False, description="Must stay in private pools.")


class HybridConfig(Closed):
    """The whole `provider` section."""

    type: Literal["external"]
    module: Literal["cluster.hybrid.provider.HybridNodeProvider"]
    pools: dict[PoolName, AnyPool] = Field(min_length=1)
    workloads: list[Workload] = []
    back_off: BackOff = BackOff()
    state_dir: Path = Field(Path("~/.raglan/hybrid"), description="Where the status is kept.")
    gcs_address: str | None = Field(None, description="The head's address; default: what the monitor was given.")
    disable_node_updaters: bool = Field(False, description="Ray's own: cloud nodes start Ray by themselves.")
    disable_launch_config_check: bool = Field(True, description="Ray's own: a changed node type replaces no node.")
    use_internal_ips: bool = Field(False, description="Ray's own: reach nodes by their internal addresses.")

    @model_validator(mode="before")
    @classmethod
    def _leave_rays_own_notes(cls, data: Any) -> Any:
        """`ray up` notes things of its own in the section, under names with a leading underscore."""
        return {k: v for k, v in data.items() if not str(k).startswith("_")} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _no_overlap("host", [(n, p.hosts) for n, p in self.pools.items() if isinstance(p, OnPremPool)])
        _no_overlap("node type", [(n, list(p.node_types)) for n, p in self.pools.items()])
        kept = [w.name for w in self.workloads if w.private]
        if kept and not any(pool.private for pool in self.pools.values()):
            raise ValueError(f"{kept[0]} must stay private, and no pool is private")
        return self

    def pool_of(self, node_type: str) -> str | None:
        """The name of the pool that starts a node type."""
        return next((name for name, pool in self.pools.items() if node_type in pool.node_types), None)


def _no_overlap(what: str, held: list[tuple[str, list[str]]]) -> None:
    owner: dict[str, str] = {}
    for pool, things in held:
        for thing in things:
            if thing in owner:
                raise ValueError(f"{what} {thing} is in the pools {owner[thing]} and {pool}")
            owner[thing] = pool
