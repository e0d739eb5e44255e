"""The bundled model through ONNX Runtime: neither torch nor transformers is imported."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rag.embed import BUNDLED_DIMENSIONS, EmbedConfig, Ids, Output
from rag.embed_export import exported
from rag.types import Vector

if TYPE_CHECKING:
    from onnxruntime import InferenceSession  # type: ignore[import-untyped]


class OnnxEncoder:
    """Role Encoder."""

    dimensions = BUNDLED_DIMENSIONS

    def __init__(self, config: EmbedConfig) -> None:
        """Exports the model when no one has yet."""
        self._session = session(exported(config), config.threads)

    def run(self, ids: Ids, mask: Ids, *outputs: Output) -> list[Vector]:
        found = self._session.run(list(outputs), {"ids": ids, "mask": mask})
        return [np.asarray(array, np.float32) for array in found]


def session(model: Path | bytes, threads: int | None) -> "InferenceSession":
    """A session of a file or of its content. Threads that wait sleep: replicas share the cores."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = model if isinstance(model, bytes) else str(model)
    return InferenceSession(source, options, providers=["CPUExecutionProvider"])
