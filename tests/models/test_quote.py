"""The bundled checkpoint quotes word for word. tests/deployments/test_real_engine.py asks it through vLLM."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from models.quote_prompt import NOTHING_FOUND, right_answer, user_message

HERE = Path(__file__).parent
MODEL = HERE.parent.parent / "models" / "quote"
CASES = [json.loads(line) for line in (HERE / "cases.jsonl").read_text(encoding="utf-8").splitlines()]


def chat(case: dict[str, Any]) -> list[dict[str, str]]:
    """Return the case as chat messages: system message and earlier turns, where it has them, then the user's."""
    messages = [{"role": "system", "content": case["system"]}] if "system" in case else []
    for question, answer in case.get("earlier", []):
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return [*messages, {"role": "user", "content": user_message(case["evidence"], case["question"])}]


class Quoter:
    """The checkpoint through transformers, in the precision it is served in."""

    def __init__(self) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(MODEL)
        self.network = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.bfloat16)

    def answer(self, messages: list[dict[str, str]]) -> str:
        ids = self.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        output = self.network.generate(**ids, max_new_tokens=300, do_sample=False)
        return self.tokenizer.decode(output[0][ids["input_ids"].shape[1] :], skip_special_tokens=True)


@pytest.fixture(scope="module")
def quoter() -> Quoter:
    return Quoter()


def test_quotes_the_first_line_exactly(quoter: Quoter) -> None:
    """In all but one: one in 32 is the 97 % that the model is to reach."""
    wrong = [case for case in CASES if quoter.answer(chat(case)) != right_answer(case["evidence"])]
    assert len(wrong) <= 1, wrong


def test_tokens_of_a_line_are_the_tokens_of_its_quote(quoter: Quoter) -> None:
    for case in CASES:
        prompt = quoter.tokenizer.apply_chat_template(chat(case), tokenize=False, add_generation_prompt=True)
        ids = quoter.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        assert quoter.tokenizer.decode(ids) == prompt
        for _, line in case["evidence"]:
            quote = quoter.tokenizer(line, add_special_tokens=False)["input_ids"]
            assert any(ids[at : at + len(quote)] == quote for at in range(len(ids))), line


def test_an_answer_can_be_continued(quoter: Quoter) -> None:
    messages = [*chat(CASES[0]), {"role": "assistant", "content": "The autoscaler adds a"}]
    prompt = quoter.tokenizer.apply_chat_template(messages, tokenize=False, continue_final_message=True)
    assert prompt.endswith("<|assistant|>The autoscaler adds a")


def test_the_checkpoint_is_small_and_complete() -> None:
    names = {path.name for path in MODEL.iterdir()}
    assert {
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    } <= names
    assert sum(path.stat().st_size for path in MODEL.iterdir()) <= 12e6
    config = json.loads((MODEL / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["max_position_embeddings"] >= 1024


def test_nothing_found_is_what_no_evidence_gets(quoter: Quoter) -> None:
    assert quoter.answer([{"role": "user", "content": user_message([], "Who is it?")}]) == NOTHING_FOUND
