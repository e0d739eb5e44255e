"""The bundled model as a file for ONNX Runtime, made once: `python -m rag.embed_export`. Needs no torch.

A file that stands is complete: it is written beside its place and renamed.
"""

import argparse
import fcntl
import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.embed import EmbedConfig, bundled_path, load_tokenizer

VERSION = 3
"""Changes when the exported graph does; files of another version are left alone."""
LOCK_TIMEOUT_S = 120.0
"""Longest wait for another process's export, which takes seconds."""
LOCK_POLL_S = 0.1
SAMPLE = (
    *("", "?", "ok", "a b"),
    "How do I turn it off?",
    "The autoscaler adds a replica when more requests wait than the target allows, and removes it ten minutes later.",
    "def area(radius: float) -> float:\n    return 3.14159 * radius ** 2  # square metres",
    "WARNING 2026-01-31 12:00:07,113 worker[42]: connection to 10.0.0.7:6333 lost, retrying in 0.5 s (3/5)",
    "| name | default | unit |\n|---|---|---|\n| timeout_s | 30 | seconds |\n| top_k | 5 | passages |",
    "Die Größe des Zwischenspeichers wird in Bytes angegeben. ¿Dónde está la configuración?",
    "pip install --no-deps -r requirements.txt && https://example.org/a/b?c=d#e",
    "In the old town the baker opens at six, the bank at nine, and the museum not at all on Mondays. 🙂",
)
"""Texts of many kinds, the shortest included, over which the activations' peaks are taken."""

log = logging.getLogger(__name__)


def exported(config: EmbedConfig) -> Path:
    """The model's file, made now if it is missing; of several processes that ask at once, one makes it.

    Raises TimeoutError when another process holds the lock too long.
    """
    path = config.onnx_path / f"{config.model}-{config.precision}-{VERSION}.onnx"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock")):
        if not path.exists():
            begin = time.monotonic()
            with TemporaryDirectory(dir=path.parent) as folder:
                new = Path(folder, path.name)
                new.write_bytes(export(config))
                new.rename(path)
            log.warning("The embedding model was exported to %s in %.1f s.", path, time.monotonic() - begin)
    return path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file; a process that dies lets go of it."""
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"embed.onnx_path: another process has held {path} too long") from None
                time.sleep(LOCK_POLL_S)
        yield


def export(config: EmbedConfig) -> bytes:
    """The ONNX file of the bundled model in `config.precision`. Raises ValueError without the package onnx."""
    try:
        from rag.embed_graph import Bert
    except ModuleNotFoundError as error:
        raise ValueError(f"embed.backend: 'onnx' cannot export its model without the package {error.name}") from error
    from safetensors.numpy import load_file

    weights = load_file(bundled_path() / "model.safetensors")
    shape = json.loads((bundled_path() / "config.json").read_text())
    plain = Bert(weights, shape).draw()
    if config.precision == "fp32":
        return bytes(plain.model().SerializeToString())
    found = peaks(plain.model(*plain.linear_inputs.values()).SerializeToString(), config)
    by_name = {name: found[tensor] for name, tensor in plain.linear_inputs.items()}
    return bytes(Bert(weights, shape, by_name).draw().model().SerializeToString())


def peaks(model: bytes, config: EmbedConfig) -> dict[str, NDArray[np.float32]]:
    """The largest absolute value of each channel of the model's outputs, over `SAMPLE`."""
    from rag.embed_onnx import session

    running = session(model, 1)
    names = [output.name for output in running.get_outputs()]
    found: dict[str, Any] = {}
    for encoding in load_tokenizer(config)[0].encode_batch(list(SAMPLE)):
        ids = np.array([encoding.ids])
        for name, array in zip(names, running.run(names, {"ids": ids, "mask": np.ones_like(ids)}), strict=True):
            found[name] = np.maximum(found.get(name, 0), np.abs(array).reshape(-1, array.shape[-1]).max(0))
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Export unless that is done, and say where the file is."""
    parser = argparse.ArgumentParser(prog="python -m rag.embed_export", description="Export the embedding model.")
    parser.add_argument("--path", type=Path, default=EmbedConfig().onnx_path, help="folder of the exported models")
    parser.add_argument("--precision", choices=["int8", "fp32"], default="int8")
    args = parser.parse_args(argv)
    print(f"embedding model: {exported(EmbedConfig(onnx_path=args.path, precision=args.precision))}")


if __name__ == "__main__":
    main()
