"""Measures the demo model: does it quote the first evidence line and cite it, exactly, on text it never saw?

    python -m benchmarks.demo_model --backend vllm --out /tmp/demo_model.json

Greedy decoding through vLLM's offline engine, or through transformers with `--backend transformers`. On two CPU cores
`--tensor-parallel 2` needs `VLLM_CPU_OMP_THREADS_BIND="0|1"` in the environment.
"""

import argparse
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer

from models.quote_cases import Case, code_cases, held_out_corpus, natural_cases
from models.quote_prompt import NOTHING_FOUND

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "quote"
RUN_TOKENS = 3
MAX_NEW_TOKENS = 700
KV_CACHE_BYTES = 2**28

Answerer = Callable[[Sequence[str]], list[str]]


def vllm_answerer(model: Path, tensor_parallel: int) -> Answerer:
    """Return a function from user messages to greedy answers through one vLLM engine in bf16."""
    from vllm import LLM, SamplingParams

    engine = LLM(
        model=str(model),
        dtype="bfloat16",
        tensor_parallel_size=tensor_parallel,
        enforce_eager=True,
        max_num_seqs=16,
        kv_cache_memory_bytes=KV_CACHE_BYTES,
        disable_log_stats=True,
    )
    greedy = SamplingParams(temperature=0.0, max_tokens=MAX_NEW_TOKENS)

    def answer(messages: Sequence[str]) -> list[str]:
        chats = [[{"role": "user", "content": message}] for message in messages]
        return [output.outputs[0].text for output in engine.chat(chats, greedy)]

    return answer


def transformers_answerer(model: Path) -> Answerer:
    """Return a function from user messages to greedy answers through transformers in bf16, one at a time."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model, dtype="bfloat16")

    def answer(messages: Sequence[str]) -> list[str]:
        answers = []
        for message in tqdm(messages):
            chat = [{"role": "user", "content": message}]
            ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
            output = network.generate(**ids, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
            answers.append(tokenizer.decode(output[0][ids["input_ids"].shape[1] :], skip_special_tokens=True))
        return answers

    return answer


def foreign_tokens(case: Case, answer: str, tokenize: Callable[[str], list[str]]) -> tuple[int, int]:
    """Return (runs of `RUN_TOKENS` tokens no evidence line has, tokens that stand only in such runs).

    The citation does not count. A word left out or doubled makes foreign runs where its neighbours meet, but no
    foreign token; a word that was made up makes both.
    """
    if answer == NOTHING_FOUND:
        return 0, 0
    known: set[tuple[str, ...]] = set()
    for _, line in case.evidence:
        known.update(_runs(tokenize(line)))
    quoted = tokenize(re.sub(r" \[\d+\]$", "", answer))
    runs = _runs(quoted)
    covered = {at + i for at, run in enumerate(runs) if run in known for i in range(len(run))}
    return sum(run not in known for run in runs), len(quoted) - len(covered)


def _runs(tokens: list[str]) -> list[tuple[str, ...]]:
    """Return every run of `RUN_TOKENS` tokens in a row; a shorter list is one run."""
    return [tuple(tokens[at : at + RUN_TOKENS]) for at in range(max(1, len(tokens) - RUN_TOKENS + 1))]


def score(cases: list[Case], answers: list[str], tokenize: Callable[[str], list[str]]) -> dict[str, Any]:
    """Return the shares over `cases` of exact answers, right citations, foreign runs and tokens; and what failed."""
    pairs = list(zip(cases, answers, strict=True))
    foreign = [foreign_tokens(case, answer, tokenize) for case, answer in pairs]
    return {
        "prompts": len(cases),
        "exact": sum(a == c.answer for c, a in pairs) / len(cases),
        "right_citation": sum(a.endswith(f" [{c.evidence[0][0]}]") for c, a in pairs) / len(cases),
        "with_foreign_run": sum(runs > 0 for runs, _ in foreign) / len(cases),
        "with_foreign_token": sum(tokens > 0 for _, tokens in foreign) / len(cases),
        "wrong": [{"expected": c.answer, "answer": a} for c, a in pairs if a != c.answer],
    }


def main() -> None:
    """Measure both sets, print the shares, and write everything to `--out` as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=["vllm", "transformers"], default="vllm")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--tensor-parallel", type=int, default=1, help="vLLM only")
    parser.add_argument("--natural", type=int, default=300, help="prompts of held-out sentences")
    parser.add_argument("--code", type=int, default=100, help="prompts of code, paths, numbers and symbols")
    parser.add_argument("--out", type=Path, help="write the result here as JSON, wrong answers included")
    args = parser.parse_args()

    held = held_out_corpus(ROOT)
    sets = {"natural": natural_cases(held, args.natural), "code": code_cases(held, args.code)}
    tokenize = AutoTokenizer.from_pretrained(args.model).tokenize
    if args.backend == "vllm":
        answerer = vllm_answerer(args.model, args.tensor_parallel)
    else:
        answerer = transformers_answerer(args.model)
    result: dict[str, Any] = {"backend": args.backend, "tensor_parallel": args.tensor_parallel}
    for name, cases in sets.items():
        result[name] = score(cases, answerer([case.prompt for case in cases]), tokenize)
        shares = {k: f"{v:.1%}" for k, v in result[name].items() if isinstance(v, float)}
        print(f"{name}: {len(cases)} prompts, " + ", ".join(f"{k} {v}" for k, v in shares.items()))
    if args.out:
        args.out.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
