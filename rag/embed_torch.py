"""Any sentence-transformers model through torch, on any of its devices."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from rag.embed import BUNDLED, EmbedConfig, Ids, Output, bundled_path
from rag.types import Vector

if TYPE_CHECKING:
    from torch import Tensor

Forward = Callable[["Tensor", "Tensor"], "tuple[Tensor, Tensor]"]
"""Takes ids and mask (n, t) and returns token (n, t, d) and text (n, d) vectors."""


class TorchEncoder:
    """Role Encoder."""

    def __init__(self, config: EmbedConfig) -> None:
        """Sets the number of torch threads of the whole process where `config.threads` says so."""
        if config.threads:
            torch.set_num_threads(config.threads)
        self._device = config.device
        self._forward = load_bundled(config) if config.model == BUNDLED else load_sentence_transformer(config)
        self.dimensions = self.run(np.ones((1, 1), np.int64), np.ones((1, 1), np.int64), "text")[0].shape[-1]

    def run(self, ids: Ids, mask: Ids, *outputs: Output) -> list[Vector]:
        with torch.inference_mode():
            found = self._forward(torch.from_numpy(ids).to(self._device), torch.from_numpy(mask).to(self._device))
        by_name = dict(zip(("tokens", "text"), found, strict=True))
        return [by_name[output].float().cpu().numpy() for output in outputs]


def load_bundled(config: EmbedConfig) -> Forward:
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

    return forward


def load_sentence_transformer(config: EmbedConfig) -> Forward:
    """Any sentence-transformers model with a fast tokenizer."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(config.model, device=config.device).eval()

    def forward(ids: "Tensor", mask: "Tensor") -> "tuple[Tensor, Tensor]":
        out = model({"input_ids": ids, "attention_mask": mask})
        return out["token_embeddings"], out["sentence_embedding"]

    return forward
