"""The demo model's network, and its export as a checkpoint that transformers and vLLM load without remote code."""

import shutil
from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from models.quote_tokenizer import CONTEXT


def build_network(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return the untrained network: four layers of eight narrow heads, because matching needs heads, not width."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=8,
        head_dim=32,
        intermediate_size=256,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def export(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Replace `folder` with the checkpoint in bf16; the model card `README.md` in it is kept.

    The files are written beside `folder` first, so a reader never meets half a checkpoint.
    """
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    exported = LlamaForCausalLM(model.config)
    exported.load_state_dict(model.state_dict())
    exported = exported.to(torch.bfloat16)
    exported.generation_config = GenerationConfig(
        do_sample=True,  # with one candidate: greedy by default wherever it is served
        top_k=1,
        bos_token_id=model.config.bos_token_id,
        eos_token_id=model.config.eos_token_id,
        pad_token_id=model.config.pad_token_id,
    )
    exported.save_pretrained(fresh)
    (fresh / "model.safetensors").chmod(0o644)
    tokenizer.save_pretrained(fresh)
    card = folder / "README.md"
    if card.exists():
        shutil.copy2(card, fresh / card.name)
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
