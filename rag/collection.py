"""A collection's folder: immutable index versions, and the file `current`, whose replacement is the one atomic switch.

<index>/<collection>/current                      the id of the serving version
<index>/<collection>/history                      the versions that served, one a line, for the way back
<index>/<collection>/served                       the version that uploads were last written to
<index>/<collection>/versions/<id>/engine         what the embedded store opens
<index>/<collection>/versions/<id>/passages       Parquet parts, every passage with its vectors
<index>/<collection>/versions/<id>/manifest.json  written last: a version without it is an unfinished build
"""

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rag.errors import NotFound, RaglanError
from rag.manifest import NAME, Manifest, load_manifest, save_manifest, write_atomically


class JobRunning(RaglanError):
    """Another job works on the collection."""


class Collection:
    """One collection below the folder `index`. Nothing is made before it is needed; every method blocks."""

    def __init__(self, index: Path, name: str) -> None:
        self.name = name
        self.root = index.absolute() / name

    def folder(self, version: str) -> Path:
        return self.root / "versions" / version

    def engine(self, version: str) -> Path:
        """The folder that the embedded store opens."""
        return self.folder(version) / "engine"

    def current(self) -> str:
        """The serving version; empty when there is none."""
        return self._named("current")

    def served(self) -> str:
        """The version that holds the uploaded documents; empty when no application has opened one yet."""
        return self._named("served")

    def versions(self) -> list[str]:
        """The finished versions, oldest first."""
        return sorted(path.parent.name for path in self.root.glob(f"versions/*/{NAME}"))

    def unfinished(self) -> list[str]:
        """What jobs left that were killed."""
        found = {path.name for path in self.root.glob("versions/*")}
        return sorted(found - {*self.versions(), self.current(), self.served()})

    def manifest(self, version: str) -> Manifest | None:
        return load_manifest(self.folder(version)) if version else None

    def start(self) -> str:
        """Make the folder of a new version, newer than all others; return its id."""
        version = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        while self.folder(version).exists() or version <= max([*self.versions(), ""]):
            version = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        (self.folder(version) / "passages").mkdir(parents=True)
        return version

    def finish(self, manifest: Manifest) -> None:
        """Make the version a whole one."""
        save_manifest(self.folder(manifest.version), manifest)

    def check(self, version: str) -> None:
        """Raise NotFound when there is no such finished version."""
        if version not in (known := self.versions()):
            raise NotFound(
                f"there is no version {version} of {self.name}: `python -m rag.versions promote` lets one of "
                f"[{', '.join(known)}] serve, and `python -m rag.ingest --rebuild` makes another",
                "version",
            )

    def promote(self, version: str, back: bool = False) -> None:
        """Let the version serve, by one atomic switch; `back`: as one step back. Raises NotFound, as `check` does."""
        self.check(version)
        if not back:
            known = [other for other in promoted(self.history(), self.current(), version) if other in self.versions()]
            write_atomically(self.root / "history", "".join(f"{other}\n" for other in known))
        write_atomically(self.root / "current", f"{version}\n")

    def serve(self, version: str) -> None:
        """Note that uploads are written to this version from now on."""
        write_atomically(self.root / "served", f"{version}\n")

    def history(self) -> list[str]:
        """The versions that were promoted, the last one last."""
        return self._named("history").split()

    def before(self) -> str:
        """The version that served before the serving one, and is still there; empty when none is known."""
        return before(self.history(), self.current(), self.versions())

    def prunable(self, keep: int, also: Iterable[str] = ()) -> list[str]:
        """The finished versions over `keep`, oldest first; never those in use, the one to roll back to, or `also`."""
        held = {self.current(), self.served(), self.before(), *also}
        free = [version for version in self.versions() if version not in held]
        return free[: max(len(self.versions()) - keep, 0)]

    def clear(self, version: str) -> None:
        """Delete what the embedded store holds of a version; its parts stay."""
        if self.engine(version).exists():
            shutil.rmtree(self.engine(version))

    def remove(self, version: str) -> None:
        """Delete a version's folder, its manifest first: what is left of it then counts as unfinished."""
        (self.folder(version) / NAME).unlink(missing_ok=True)
        shutil.rmtree(self.folder(version))

    @contextmanager
    def job(self, wait: bool = False) -> Iterator[None]:
        """Keep other jobs off the collection. Raises JobRunning at once, or waits for the other job's end."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "job.lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                lock.seek(0)
                raise JobRunning(
                    f"another job ({lock.read().strip() or 'unknown'}) works on the collection {self.name}: "
                    "wait for it, or start this one with --wait",
                    "collection",
                ) from error
            lock.truncate(0)
            lock.write(f"process {os.getpid()}")
            lock.flush()
            yield

    def _named(self, file: str) -> str:
        try:
            return (self.root / file).read_text().strip()
        except FileNotFoundError:
            return ""


def promoted(history: Sequence[str], serving: str, version: str) -> list[str]:
    """The history once `version` serves after `serving`: each once, and none that was left by a way back."""
    known = history[: history.index(serving) + 1] if serving in history else [serving] if serving else []
    return [*(other for other in known if other != version), version]


def before(history: Sequence[str], serving: str, versions: Sequence[str]) -> str:
    """The last of `versions` that served before `serving`; empty when none is known."""
    earlier = history[: history.index(serving)] if serving in history else []
    return next((other for other in reversed(earlier) if other in versions), "")


def state_folder(index: Path, qdrant_url: str) -> Path:
    """Where collections stand: those of a Qdrant server in a folder of their own, named by its address."""
    if not qdrant_url:
        return index
    return index / "servers" / "".join(c if c.isalnum() else "_" for c in qdrant_url.partition("//")[2])
