"""Where the provider runs: in the autoscaler's monitor, with a file and a cluster, or in `ray up`, without."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.hybrid.cluster_view import ClusterView, gcs_view, nothing


@dataclass(frozen=True)
class Surroundings:
    """`gcs_address` is empty and the view sees nothing where there is no cluster yet."""

    autoscaling_file: Path | None = None
    gcs_address: str = ""
    clock: Callable[[], float] = time.time
    view: ClusterView = nothing


def surroundings(gcs_address: str | None, arguments: Sequence[str] | None = None) -> Surroundings:
    """What this process was started with: Ray gives its monitor `--autoscaling-config` and `--gcs-address`."""
    words = sys.argv if arguments is None else arguments
    given = dict(word.split("=", 1) for word in words if word.startswith("--") and "=" in word)
    file = given.get("--autoscaling-config")
    address = gcs_address or given.get("--gcs-address", "")
    view = gcs_view(address) if file and address else nothing
    return Surroundings(Path(file).expanduser() if file else None, address, view=view)
