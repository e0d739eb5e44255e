"""The demo model's training: what it is shown, and that an interruption costs nothing."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.demo_model import foreign_tokens
from models.quote_cases import Case
from models.quote_examples import Example, ExampleMaker
from models.quote_prompt import NOTHING_FOUND
from models.quote_synthetic import synthetic_line
from models.quote_text import Corpus
from models.quote_tokenizer import train_tokenizer
from models.quote_training import Recipe, Training, rate

CORPUS = Corpus(
    sentences=[f"The lamp number {n} is lit at dusk and put out at dawn by the watchman." for n in range(50)],
    code=[f"lamp[{n}] = Lamp(height={n * 7}, lit=True)" for n in range(50)],
)
RECIPE = Recipe(tokens=4000, batch_tokens=256, warmup_steps=2)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(CORPUS.sentences + CORPUS.code)


def test_every_answer_quotes_the_first_line_of_the_last_turn(tokenizer: PreTrainedTokenizerFast) -> None:
    maker = ExampleMaker(tokenizer, CORPUS)
    rng = random.Random(1)
    for progress in (0.0, 0.5, 1.0):
        for _ in range(200):
            example = maker.draw(rng, progress)
            prompt, answer = tokenizer.decode(example.prompt), tokenizer.decode(example.answer)
            assert prompt.startswith("<|start|>")
            assert prompt.endswith("<|end|><|assistant|>")
            last = prompt.rsplit("<|user|>", 1)[1]
            if answer == f"{NOTHING_FOUND}<|end|>":
                assert "\n[" not in last
                continue
            quote, number = answer.removesuffix("]<|end|>").rsplit(" [", 1)
            first = last.removeprefix("Evidence:\n").split("\n", 1)[0]
            assert first == f"[{number}] {quote}"


def test_made_up_text_is_one_line_and_survives_the_tokenizer(tokenizer: PreTrainedTokenizerFast) -> None:
    rng = random.Random(2)
    for items in range(1, 60):
        line = synthetic_line(rng, items)
        assert len(line.splitlines()) == 1
        assert tokenizer.decode(tokenizer(line, add_special_tokens=False)["input_ids"]) == line


def small_network(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A network whose step takes milliseconds."""
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=True, **sizes))


def one_example(maker: ExampleMaker, rng: random.Random, progress: float, tokens: int) -> list[list[Example]]:
    """One batch: a training then draws anew at every step, as one that was resumed does."""
    return [[maker.draw(rng, progress)]]


def parameters(training: Training) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in training.network.parameters()])


def test_a_training_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.quote_training.build_network", small_network)
    monkeypatch.setattr("models.quote_training.draw_batches", one_example)
    training = Training(RECIPE, CORPUS, tmp_path / "train.pt")
    untrained = parameters(training)
    assert training.advance() == training.tokens > 0
    assert not torch.equal(parameters(training), untrained)
    training.save()
    resumed = Training(RECIPE, CORPUS, tmp_path / "train.pt")
    assert resumed.tokens == training.tokens
    assert torch.equal(parameters(resumed), parameters(training))
    assert resumed.advance() == training.advance()
    assert torch.equal(parameters(resumed), parameters(training))


def test_the_learning_rate_warms_up_stays_and_falls_to_zero() -> None:
    recipe = replace(RECIPE, warmup_steps=10, decay_from=0.5)
    assert rate(recipe, 0, 0.0) == pytest.approx(0.1)
    assert rate(recipe, 100, 0.5) == 1.0
    assert rate(recipe, 100, 0.75) == pytest.approx(0.5)
    assert rate(recipe, 100, 1.0) == 0.0


def test_foreign_tokens_tell_a_slip_from_an_invention() -> None:
    case = Case(evidence=((3, "a b c d e f g"), (1, "x y z")), question="?")
    assert foreign_tokens(case, "a b c d e f g [3]", str.split) == (0, 0)
    assert foreign_tokens(case, "a b c e f g [3]", str.split) == (2, 0)
    assert foreign_tokens(case, "a b c moon d e f [3]", str.split) == (3, 1)
    assert foreign_tokens(case, NOTHING_FOUND, str.split) == (0, 0)
