"""How the demo model is trained: the recipe, the optimizers, and the state that survives an interruption.

It knows nothing of where text comes from or where the finished model goes.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from models.quote_examples import Example, ExampleMaker
from models.quote_network import build_network
from models.quote_score import IGNORED, answer_logits, to_batch
from models.quote_text import Corpus
from models.quote_tokenizer import train_tokenizer, with_chat_template

TOKENIZER_SENTENCES, TOKENIZER_CODE = 60_000, 30_000
PROMPT_WORDS = ["Evidence:\n[1] a\nQuestion: What"] * 500
BATCHES_DRAWN_AT_ONCE = 8


@dataclass(frozen=True)
class Recipe:
    """What decides the result: the seed, the training tokens (prompt and answer) and the optimizer.

    `batch_tokens` is each worker's share of a step.
    """

    seed: int = 0
    tokens: int = 44_000_000
    batch_tokens: int = 3072
    adam_rate: float = 2e-3
    muon_rate: float = 4e-3
    warmup_steps: int = 50
    decay_from: float = 0.6


def build_optimizers(network: LlamaForCausalLM, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Return AdamW for the embedding and the norms, and Muon for the layers' matrices.

    Muon learned the copying circuit from 2 M tokens where AdamW alone needed about 10 M.
    """
    named = list(network.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in named if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.AdamW(others, lr=recipe.adam_rate, betas=(0.9, 0.98), weight_decay=0.0),
        torch.optim.Muon(matrices, lr=recipe.muon_rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
    ]


def rate(recipe: Recipe, step: int, progress: float) -> float:
    """Return the share of the top learning rate: warm-up, plateau, then linear to zero from `decay_from` on."""
    decay = min(1.0, (1.0 - progress) / (1.0 - recipe.decay_from))
    return min(1.0, (step + 1) / recipe.warmup_steps) * max(0.0, decay)


def fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 itself: a CPU that emulates it takes over twice the time of fp32."""
    able = torch.cpu.get_capabilities()
    return device.type != "cpu" or bool(able.get("amx_bf16") or able.get("avx512_bf16"))


def draw_batches(maker: ExampleMaker, rng: random.Random, progress: float, tokens: int) -> Iterator[list[Example]]:
    """Yield a few batches of at most about `tokens` ids each, in random order; like lengths stand together."""
    pool: list[Example] = []
    size = 0
    while size < tokens * BATCHES_DRAWN_AT_ONCE:
        pool.append(maker.draw(rng, progress))
        size += len(pool[-1])
    batches: list[list[Example]] = [[]]
    for example in sorted(pool, key=len):
        if batches[-1] and (len(batches[-1]) + 1) * len(example) > tokens:
            batches.append([])
        batches[-1].append(example)
    rng.shuffle(batches)
    yield from batches


def average_over_workers(network: LlamaForCausalLM, facts: list[float]) -> list[float]:
    """Average the gradients, in place, and `facts` over all workers, so that they stay equal; return the facts.

    One worker a core with one exchange a step is faster on a busy machine than threads that meet at every operation.
    """
    if not dist.is_initialized():
        return facts
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    flat = torch.cat([*(gradient.flatten() for gradient in gradients), torch.tensor(facts)])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    at = 0
    for gradient in gradients:
        gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
        at += gradient.numel()
    return [float(fact) for fact in flat[at:]]


class Training:
    """The network, its optimizers, and how far they are; `load` and `save` make it survive an interruption."""

    def __init__(self, recipe: Recipe, trained: Corpus, checkpoint: Path) -> None:
        self._recipe = recipe
        self._worker = dist.get_rank() if dist.is_initialized() else 0
        self._workers = dist.get_world_size() if dist.is_initialized() else 1
        self._checkpoint = checkpoint
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        saved = torch.load(checkpoint, map_location=self._device) if checkpoint.exists() else None
        self.tokenizer = self._tokenizer(trained, saved)
        self._maker = ExampleMaker(self.tokenizer, trained)
        torch.manual_seed(recipe.seed)
        self.network = build_network(self.tokenizer).to(self._device)
        self._optimizers = build_optimizers(self.network, recipe)
        self._top_rates = [optimizer.param_groups[0]["lr"] for optimizer in self._optimizers]
        self._step = self.tokens = 0
        self._drawn: list[list[Example]] = []
        self.loss = 7.0  # nats: that of guessing among 1,024 tokens
        if saved:
            self._load(saved)

    def advance(self) -> int:
        """Take one step with every worker; return how many tokens it took, all workers together."""
        progress = self.tokens / self._recipe.tokens
        if not self._drawn:
            rng = random.Random(f"{self._recipe.seed}-{self._step}-{self._worker}")
            self._drawn = list(draw_batches(self._maker, rng, progress, self._recipe.batch_tokens))
        share = rate(self._recipe, self._step, progress)
        for optimizer, top in zip(self._optimizers, self._top_rates, strict=True):
            optimizer.param_groups[0]["lr"] = top * share
        loss, tokens = self._train_on(self._drawn.pop())
        self.loss += 0.05 * (loss - self.loss)
        self._step += 1
        self.tokens += round(tokens * self._workers)
        return round(tokens * self._workers)

    def save(self) -> None:
        """Write everything `__init__` needs to go on; an interruption leaves the older checkpoint whole."""
        self._checkpoint.parent.mkdir(parents=True, exist_ok=True)
        partial = self._checkpoint.with_suffix(".partial")
        state = {
            "model": self.network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "tokenizer": self.tokenizer.backend_tokenizer.to_str(),
            "step": self._step,
            "tokens": self.tokens,
        }
        torch.save(state, partial)
        partial.replace(self._checkpoint)

    def _load(self, saved: dict[str, Any]) -> None:
        self.network.load_state_dict(saved["model"])
        for optimizer, state in zip(self._optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self._step, self.tokens = saved["step"], saved["tokens"]

    @staticmethod
    def _tokenizer(trained: Corpus, saved: dict[str, Any] | None) -> PreTrainedTokenizerFast:
        if saved:
            return with_chat_template(Tokenizer.from_str(saved["tokenizer"]))
        texts = trained.sentences[:TOKENIZER_SENTENCES] + trained.code[:TOKENIZER_CODE]
        return train_tokenizer(texts + PROMPT_WORDS)

    def _train_on(self, batch: list[Example]) -> tuple[float, float]:
        """Take one optimizer step; return the mean loss of answer tokens in nats and the tokens, a worker's mean."""
        ids, targets = to_batch(batch, self._device)
        wanted = targets != IGNORED
        with torch.autocast(self._device.type, torch.bfloat16, enabled=fast_bf16(self._device)):
            logits = answer_logits(self.network, ids, wanted)
        loss = functional.cross_entropy(logits, targets[wanted])
        torch.autograd.backward(loss)
        mean_loss, tokens = average_over_workers(self.network, [float(loss.detach()), float(sum(map(len, batch)))])
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return mean_loss, tokens
