"""What the guardrails add to a real answer: milliseconds to the first text and to the whole, and tokens per second.

    python -m benchmarks.guard_live --rounds 20

Starts one Raglan with an API key for each way of guarding. Every question is asked with every key, in turns of a random
order, so that each difference is between neighbours in time. Questions come one at a time.
"""

import argparse
import asyncio
import hashlib
import json
import random
import secrets
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import yaml

from benchmarks.arguments import positive
from benchmarks.serving_load import Answer, exchange, read
from benchmarks.serving_process import running
from benchmarks.serving_prompts import QUESTIONS
from benchmarks.serving_servers import ROOT, Bench, environment, raglan

OFF = {"enabled": False}
WAYS: dict[str, dict[str, Any]] = {
    "off": {"input": OFF, "passages": OFF, "output": OFF},
    "input": {"passages": OFF, "output": OFF},
    "passages": {"input": OFF, "output": OFF},
    "output": {"input": OFF, "passages": OFF},
    "all": {},
}
"""What each key's policy leaves on, and how."""
BASE = "off"
SEED = 20_261_125
SHORT = "/tmp"  # noqa: S108  a socket's path has at most 97 characters
Answers = dict[str, list[Answer]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the JSON; 1 when an answer failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=positive, default=20, help="times that each question is asked (default: 20)")
    parser.add_argument("--ways", type=ways, default=list(WAYS), help=f"some of {','.join(WAYS)}")
    parser.add_argument(
        "--max-tokens", type=positive, default=128, help="longest answer; the demo model ends by itself"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "var" / "bench" / "guard_live.json")
    args = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the server under test is ended then, too
    keys = {way: secrets.token_urlsafe(16) for way in args.ways}
    profile = yaml.safe_load((ROOT / "cluster" / "local.yaml").read_text())
    profile["applications"][0]["args"]["http"]["api_keys"] = [
        {"name": way, "sha256": hashlib.sha256(keys[way].encode()).hexdigest(), "policy": WAYS[way]} for way in keys
    ]
    with tempfile.TemporaryDirectory(prefix="rg-", dir=SHORT) as folder:
        bench = Bench(ROOT, profile, environment(), Path(folder), Path(folder) / "index", args.max_tokens)
        ingest = [sys.executable, "-m", "rag.ingest", "docs", "--index", str(bench.index)]
        subprocess.run(ingest, cwd=ROOT, check=True)
        print("Starting Raglan", flush=True)
        with running(command := raglan(bench), ROOT):
            answers = asyncio.run(ask(command.url, bench, keys, args.rounds))
    found = figures(answers)
    print(table(found))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(found, indent=1) + "\n")
    return 1 if any(answer.error for group in answers.values() for answer in group) else 0


def ways(text: str) -> list[str]:
    """BASE and the ways named in `text`, parted by commas."""
    named = text.split(",")
    if unknown := set(named) - set(WAYS):
        raise argparse.ArgumentTypeError(f"no such way: {', '.join(sorted(unknown))}; there are {', '.join(WAYS)}")
    return [way for way in WAYS if way == BASE or way in named]


async def ask(url: str, bench: Bench, keys: Mapping[str, str], rounds: int) -> Answers:
    """Each question `rounds` times with each key, after one round that warms everything."""
    rng = random.Random(SEED)
    answers: Answers = defaultdict(list)
    async with aiohttp.ClientSession() as session:
        for turn in range(rounds + 1):
            for case, question in enumerate(QUESTIONS):
                body = json.dumps(bench.request([{"role": "user", "content": question}])).encode()
                for way in rng.sample(list(keys), len(keys)):
                    seen = await exchange(session, f"{url}/v1/chat/completions", body, case, keys[way])
                    if turn:
                        answers[way].append(read(seen))
    return answers


def figures(answers: Answers) -> dict[str, dict[str, float]]:
    """By way: medians in milliseconds, tokens per second, and the medians of the differences to BASE, in pairs."""
    out: dict[str, dict[str, float]] = {}
    base = [(a.first * 1e3, a.end * 1e3, rate(a)) for a in answers[BASE]]
    for way in (way for way in WAYS if way in answers):
        group = answers[way]
        mine = [(a.first * 1e3, a.end * 1e3, rate(a)) for a in group]
        first, end, speed = np.median(mine, axis=0)
        more_first, more_end, _ = np.median(np.subtract(mine, base), axis=0)
        slower = float(np.median(np.divide([m[2] for m in mine], [b[2] for b in base])))
        out[way] = {"answers": len(group), "ttft_ms": first, "total_ms": end, "tokens_per_s": speed}
        out[way] |= {"more_ttft_ms": more_first, "more_total_ms": more_end, "tokens_per_s_ratio": slower}
    return {way: {name: round(float(value), 3) for name, value in row.items()} for way, row in out.items()}


def rate(answer: Answer) -> float:
    """Tokens per second of the whole answer, the wait for the first one included."""
    return answer.output_tokens / answer.end


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """The figures in Markdown."""
    head = ("guarded", "answers", "TTFT p50", "more than off", "whole p50", "more than off", "tokens/s", "ratio")
    names: Sequence[str] = ("ttft_ms", "more_ttft_ms", "total_ms", "more_total_ms", "tokens_per_s")
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for way, row in found.items():
        cells = [way, f"{row['answers']:.0f}", *(f"{row[name]:.1f}" for name in names)]
        lines.append(f"| {' | '.join(cells)} | {row['tokens_per_s_ratio']:.3f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
