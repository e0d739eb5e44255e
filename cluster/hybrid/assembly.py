"""Builds the fleet of a configuration: each pool's real mechanism, the policy, the files it keeps."""

from collections.abc import Callable, Mapping

from cluster.hybrid.cloud import Cloud
from cluster.hybrid.cluster_file import read_cluster_file
from cluster.hybrid.config import AnyPool, CloudPool, HybridConfig, LocalPool, OnPremPool
from cluster.hybrid.fleet import Fleet
from cluster.hybrid.hosts import Hosts
from cluster.hybrid.joined import JoinedHosts
from cluster.hybrid.limits_file import LimitsFile
from cluster.hybrid.policy import FleetPolicy, terms_of
from cluster.hybrid.pool import Mechanism
from cluster.hybrid.starter import ProcessStarter, SshStarter
from cluster.hybrid.status import StatusFile, status_of
from cluster.hybrid.surroundings import Surroundings


def build_fleet(config: HybridConfig, cluster_name: str, around: Surroundings) -> Fleet:
    """The fleet, with limits and status written from the start when there is an autoscaling file."""
    mechanisms = {name: _mechanism(name, pool, config, cluster_name, around) for name, pool in config.pools.items()}
    sizes: Mapping[str, float] = read_cluster_file(around.autoscaling_file).sizes if around.autoscaling_file else {}
    policy = FleetPolicy(terms_of(config), config.back_off, sizes)
    patience = {name: pool.launch_timeout_s for name, pool in config.pools.items() if isinstance(pool, CloudPool)}
    fleet = Fleet(policy, mechanisms, around, changed=keep_files(config, around), launch_timeout_s=patience)
    if around.autoscaling_file:
        fleet.nodes()
    return fleet


def keep_files(config: HybridConfig, around: Surroundings) -> Callable[[Fleet], None]:
    if around.autoscaling_file is None:
        return lambda fleet: None
    limits, status = LimitsFile(around.autoscaling_file), StatusFile(config.state_dir)

    def changed(fleet: Fleet) -> None:
        with fleet.writing:
            limits.write(fleet.limits())
            status.write(status_of(fleet, around.clock()))

    return changed


def _mechanism(name: str, pool: AnyPool, config: HybridConfig, cluster_name: str, around: Surroundings) -> Mechanism:
    if isinstance(pool, CloudPool):
        return Cloud(name, pool, cluster_name, around.clock)
    if isinstance(pool, OnPremPool) and pool.start == "joined":
        return JoinedHosts(pool, around)
    if isinstance(pool, LocalPool):
        return Hosts(name, pool, ProcessStarter(config.state_dir.expanduser() / name), around)
    head_file = None if around.autoscaling_file else config.state_dir.expanduser() / f"{cluster_name}-{name}-head.json"
    return Hosts(name, pool, SshStarter(pool.ssh, pool.stop_command), around, head_file)
