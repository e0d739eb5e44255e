"""Measures retrieval: each stage's ranking and latency on a BEIR folder, on a folder of them, or on the handbook.

    python -m benchmarks.retrieval --data FOLDER --out figures.json
    python -m benchmarks.retrieval --suite handbook
    python -m benchmarks.retrieval --data-root FOLDER_OF_FOLDERS

The embedder, chunker, fusion and reranker are those of `--profile`. Vectors of a corpus are kept in var/eval.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from benchmarks.retrieval_report import Figures, draw, figures, overview, table
from benchmarks.retrieval_sets import HANDBOOK, ROOT, QuestionSet, beir, handbook
from benchmarks.retrieval_stages import EvalConfig, run
from rag.errors import InvalidInput, RaglanError
from rag.retrieve import RetrieveConfig

CACHE = ROOT / "var" / "eval"


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = out.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path, help="folder in BEIR layout")
    what.add_argument("--suite", choices=["handbook"], help="the project's own questions about docs/")
    out.add_argument("--questions", type=Path, default=HANDBOOK, help="other questions for the suite, one a line")
    what.add_argument("--data-root", type=Path, help="every BEIR folder in this folder")
    out.add_argument("--out", type=Path, help="write the figures here as JSON, and the plot beside it")
    out.add_argument("--limit-queries", type=int, default=0, help="only the first questions, for a quick look")
    out.add_argument("--depth", type=int, help=EvalConfig.model_fields["depth"].description)
    out.add_argument("--profile", type=Path, default=ROOT / "cluster" / "local.yaml", help="Serve YAML to measure")
    for name, field in RetrieveConfig.model_fields.items():
        out.add_argument(f"--{name.replace('_', '-')}", metavar="VALUE", help=f"{field.description}".replace("%", "%%"))
    return out


def configured(args: argparse.Namespace) -> EvalConfig:
    """The profile's settings with those of the command line. Raises InvalidInput."""
    config = EvalConfig.load(args.profile)
    given = {name: getattr(args, name) for name in RetrieveConfig.model_fields if getattr(args, name) is not None}
    retrieve = config.retrieve.model_dump() | {name: yaml.safe_load(value) for name, value in given.items()}
    depth = config.depth if args.depth is None else args.depth
    try:
        return EvalConfig.model_validate(config.model_dump() | {"retrieve": retrieve, "depth": depth})
    except ValidationError as error:
        places = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise InvalidInput("; ".join(places), "options") from error


def chosen(args: argparse.Namespace) -> list[QuestionSet]:
    if args.suite:
        return [handbook(args.questions)]
    if args.data:
        return [beir(args.data)]
    folders = sorted(path.parent for path in args.data_root.glob("*/corpus.jsonl"))
    if not folders:
        raise InvalidInput(f"{args.data_root}: no folder in it holds a corpus.jsonl", "data_root")
    return [beir(folder) for folder in folders]


def plot_path(out: Path | None, name: str, several: bool) -> Path:
    if out is None:
        return CACHE / f"{name}.png"
    return out.with_name(f"{out.stem}_{name}.png") if several else out.with_suffix(".png")


async def measure(sets: Sequence[QuestionSet], config: EvalConfig, out: Path | None) -> list[Figures]:
    """Print each set's table and write its plot."""
    found = []
    for questions in sets:
        result = figures(questions, await run(questions, config, CACHE))
        path = plot_path(out, questions.name, len(sets) > 1)
        draw(result, path)
        print(f"\n{questions.name}\n\n{table(result)}\nPlot: {path}\n", flush=True)
        found.append(result)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """0, or 2 for data or options that cannot be used."""
    args = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the index is gone then, too
    try:
        sets = [questions.limited(args.limit_queries) for questions in chosen(args)]
        found = asyncio.run(measure(sets, configured(args), args.out))
    except RaglanError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if args.data_root:
        print(overview(found))
    if args.out:
        whole: Any = {"sets": {result["set"]: result for result in found}} if args.data_root else found[0]
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
