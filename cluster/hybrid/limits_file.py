"""The autoscaler reads its file again at every tick; here its node types get the limits and ranks of the policy.

This keeps a full or broken pool from holding up the others: Ray's scheduler would ask such a pool again at every tick,
but it does not ask a pool whose `max_workers` is reached.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cluster.hybrid.policy import Limit
from cluster.hybrid.whole_file import write_whole


class LimitsFile:
    """Writes `min_workers`, `max_workers` and `priority` of the node types when they change, the head's excepted."""

    def __init__(self, path: Path):
        self._path = path.expanduser().resolve()
        self._written: tuple[Mapping[str, Limit], int] | None = None

    def write(self, limits: Mapping[str, Limit]) -> bool:
        """Bring the file to `limits`; whether it had to be written."""
        if self._written == (limits, self._path.stat().st_mtime_ns):
            return False
        config: dict[str, Any] = yaml.safe_load(self._path.read_text())
        kinds = {k: v for k, v in config["available_node_types"].items() if k != config.get("head_node_type")}
        stale = [kind for kind in kinds if kind in limits and self._bring(kinds[kind], limits[kind])]
        if stale:
            write_whole(self._path, yaml.safe_dump(config, sort_keys=False))
        self._written = (dict(limits), self._path.stat().st_mtime_ns)
        return bool(stale)

    @staticmethod
    def _bring(node_type: dict[str, Any], limit: Limit) -> bool:
        wanted = {"min_workers": limit.least, "max_workers": limit.most, "priority": limit.priority}
        stale = any(node_type.get(key) != value for key, value in wanted.items())
        node_type.update(wanted)
        return stale
