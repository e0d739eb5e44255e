"""Which document each stored passage belongs to, remembered: asking the engine costs more than the search itself."""

from collections.abc import Mapping, Sequence
from threading import Event, Lock, Thread
from typing import Any

import qdrant_edge as edge

from rag.store import OWNER, PAGE, Owner, to_owner

MOST = 1_000_000
"""Passages remembered, at some 300 bytes each."""


class Owners:
    """Learns the owners of a shard's passages in a thread of its own, and of those still unknown as they are asked."""

    def __init__(self, shard: edge.EdgeShard) -> None:
        self._shard = shard
        self._known: dict[str, Owner] = {}
        self._ids: dict[str, list[str]] = {}
        """The passages in `_known` by their document."""
        self._changes = 0
        self._lock = Lock()
        self._closing = Event()
        self._learner = Thread(target=self._learn_all, name="qdrant-edge-owners", daemon=True)
        self._learner.start()

    def known(self, ids: Sequence[str]) -> dict[str, Owner]:
        """The owners of those points that are remembered."""
        known = self._known
        return {key: owner for key in ids if (owner := known.get(key))}

    def of(self, ids: Sequence[str]) -> dict[str, Owner]:
        """The owners of these points; without the points that are gone. Blocks."""
        changes = self._changes
        found = self.known(ids)
        if missing := [key for key in ids if key not in found]:
            records = self._shard.retrieve([*missing], with_payload=OWNER, with_vector=False)
            fresh = owners(records)
            self._learn(fresh, changes, instead=True)
            found |= fresh
        return found

    def forget(self, documents: set[str]) -> None:
        """These documents change: whose passages are theirs is asked anew."""
        with self._lock:
            self._changes += 1
            for document in documents:
                for key in self._ids.pop(document, ()):
                    self._known.pop(key, None)

    def close(self) -> None:
        """Stop learning; the shard may be closed on return. Blocks."""
        self._closing.set()
        self._learner.join()

    def _learn(self, fresh: Mapping[str, Owner], changes: int, instead: bool = False) -> bool:
        """Remember what was read after so many changes, `instead` of all the rest where there is no room.

        False where it was not remembered.
        """
        with self._lock:
            fits = len(self._known) + len(fresh) <= MOST
            if changes != self._changes or not (fits or instead):
                return False
            if not fits:
                self._known, self._ids = {}, {}
            for key, owner in fresh.items():
                if key not in self._known:
                    self._ids.setdefault(owner.document, []).append(key)
                self._known[key] = owner
            return True

    def _learn_all(self) -> None:
        offset: Any = None
        while not self._closing.is_set():
            changes = self._changes
            request = edge.ScrollRequest(offset=offset, limit=PAGE, with_payload=OWNER, with_vector=False)
            records, following = self._shard.scroll(request)
            if self._learn(owners(records), changes):
                offset = following
            elif changes == self._changes:
                return
            if offset is None:
                return


def owners(records: Sequence[edge.Record]) -> dict[str, Owner]:
    """The owner of each record, by the point's id."""
    return {str(record.id): to_owner(record.payload or {}) for record in records}
