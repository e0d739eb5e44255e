"""Items to rows by Ray Data: reading and cutting as a map, embedding by a pool of actors, over a whole cluster.

The workers read the files themselves, so they must see them under the same paths. Rows come back in batches, which
the job writes as they come: a killed job has lost only what was on its way.
"""

import os
import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rag.embed import SentenceEmbedder
from rag.ingest_rows import Embedded, Prepared, Preparer, RowConfig, embedded
from rag.ingest_scan import Item

PER_TASK = 64
"""Items that are read together."""
MAX_ACTORS = 64
READER_CPUS = 0.25
"""Of a core, for a process that reads: it shares one with a process that embeds, even where there is only one."""


def embedded_by_ray(items: list[Item], config: RowConfig, address: str) -> Iterator[tuple[list[Prepared], Embedded]]:
    """The items in batches with their rows, in any order. `address`: a cluster's, or `local` to start one here."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray's own default depends on a file in the home folder
    import ray

    ray.init(address=address, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        pending = ray.data.from_items(
            [{"item": pickle.dumps(item)} for item in items], override_num_blocks=max(len(items) // PER_TASK, 1)
        )
        given: dict[str, Any] = {
            "fn_constructor_args": (config,),
            "batch_size": PER_TASK,
            "compute": ray.data.ActorPoolStrategy(min_size=1, max_size=MAX_ACTORS),
        }
        prepared = pending.map_batches(Reader, num_cpus=READER_CPUS, **given)
        gpu = {"num_gpus": 1} if config.embed.device.startswith("cuda") else {}
        done = prepared.map_batches(Embedding, num_cpus=1 - READER_CPUS, **gpu, **given)
        for row in done.iter_rows():
            yield pickle.loads(row["batch"])  # noqa: S301  # written by our own workers
    finally:
        ray.shutdown()


class Reader:
    """Reads and cuts items; keeps the tokenizer."""

    def __init__(self, config: RowConfig) -> None:
        self._prepare = Preparer(config)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        return {"prepared": [pickle.dumps(self._prepare(pickle.loads(item))) for item in batch["item"]]}  # noqa: S301


class Embedding:
    """Embeds and scores items' passages; keeps the models."""

    def __init__(self, config: RowConfig) -> None:
        self._embedder = SentenceEmbedder(config.embed.model_copy(update={"threads": config.embed.threads or 1}))
        self._embedder.load()
        self._scanner = config.make_scanner(self._embedder)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        prepared = [pickle.loads(one) for one in batch["prepared"]]  # noqa: S301
        made = embedded(prepared, self._embedder, self._scanner)
        bare = [replace(one, rows=(), texts=()) for one in prepared]
        return {"batch": [pickle.dumps((bare, made))]}
