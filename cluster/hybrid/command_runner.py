"""Ray's installer runs over every new node; where Ray was started by the pool itself, it has nothing left to do."""

from typing import Any

from ray.autoscaler.command_runner import CommandRunnerInterface


class AlreadyStarted(CommandRunnerInterface):  # type: ignore[misc]
    """A command runner for nodes that run Ray already: every command succeeds and does nothing."""

    def __init__(self, host: str):
        self._host = host

    def run(self, cmd: str | None = None, *_: Any, **__: Any) -> str:
        return ""

    def run_rsync_up(self, source: str, target: str, options: dict[str, Any] | None = None) -> None:
        return None

    def run_rsync_down(self, source: str, target: str, options: dict[str, Any] | None = None) -> None:
        return None

    def remote_shell_command_str(self) -> str:
        return f"ssh {self._host}"

    def run_init(self, *, as_head: bool, file_mounts: dict[str, str], sync_run_yet: bool) -> bool:
        return True
