"""What the guard's checks catch, and what they refuse without need, on any folder of attack and benign texts.

    python -m benchmarks.guard --data ~/attacks --out figures.json

Every .jsonl file below the folder is read. A row with one of the fields `poisoned_context`, `context`, `passage` or
`instruction` is judged as a retrieved passage; any other row needs one of `user_input`, `prompt`, `text` or `question`,
and is judged as a user's question by the input rails as they ship. Rows are counted by `category`, else by `label`.
`flagged` are the rows that the defaults refuse or drop; `by` counts the rows that each check noticed, also where it
only flags. The JSON is a list of {"file", "label", "rows", "flagged", "by"}.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from benchmarks.guard_report import Count, figures, table
from benchmarks.guard_rows import Row, files, rows
from guardrails.input import InputRails
from guardrails.passage_rails import PassageRails
from guardrails.policy import load_policy
from rag.embed import EmbedConfig, SentenceEmbedder
from rag.types import Hit, Message, Passage, RequestSettings, Verdict

ROOT = Path(__file__).resolve().parent.parent
BATCH = 64
SETTINGS = RequestSettings(model="", prompt="", policy=load_policy().text)

Judged = tuple[bool, list[str]]
"""Whether a text is refused or dropped, and the names of the checks that noticed something."""
Judge = Callable[[Sequence[str]], Awaitable[list[Judged]]]


def judges(embedder: SentenceEmbedder) -> dict[str, Judge]:
    """The checks as they ship, by the kind of row that they judge."""
    rails = InputRails(embedder.encode)
    rails.load()
    screener = PassageRails(embedder.encode)

    def judged(verdict: Verdict) -> Judged:
        return not verdict.allowed, [c.name for c in verdict.checks if c.action not in ("pass", "skipped")]

    async def question(texts: Sequence[str]) -> list[Judged]:
        found = list[Judged]()
        for text, vector in zip(texts, embedder.encode(texts), strict=True):
            found.append(judged(await rails.check([Message("user", text)], vector, SETTINGS)))
        return found

    async def passage(texts: Sequence[str]) -> list[Judged]:
        hits = [Hit(Passage(str(n), "", text), 1.0) for n, text in enumerate(texts)]
        return [judged(verdict) for verdict in await screener.screen(hits, "", SETTINGS)]

    return {"question": question, "passage": passage}


async def count(path: Path, name: str, by_kind: dict[str, Judge]) -> list[Count]:
    """Judge a file's rows and count them by label, in the labels' order."""
    counts = dict[str, Count]()
    batches = dict[str, list[Row]]()
    read = list(rows(path))
    for row in read:
        batches.setdefault(row.kind, []).append(row)
        counts.setdefault(row.label, Count(name, row.label))
    with tqdm(total=len(read), desc=name, disable=None, leave=False) as progress:
        for kind, members in batches.items():
            for begin in range(0, len(members), BATCH):
                batch = members[begin : begin + BATCH]
                for row, (flagged, checks) in zip(batch, await by_kind[kind]([r.text for r in batch]), strict=True):
                    counts[row.label].add(flagged, checks)
                progress.update(len(batch))
    return [counts[label] for label in sorted(counts)]


async def measure(folder: Path) -> list[Count]:
    """The counts of every file below `folder`; an unreadable row of any file ends it before the first is judged."""
    paths = files(folder)
    for path in paths:
        for _ in rows(path):
            pass
    embedder = SentenceEmbedder(EmbedConfig(onnx_path=ROOT / "var" / "onnx"))
    embedder.load()
    by_kind = judges(embedder)
    return [c for path in paths for c in await count(path, str(path.relative_to(folder)), by_kind)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of .jsonl files, at any depth")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    args = parser.parse_args()
    try:
        counts = asyncio.run(measure(args.data))
    except (ValueError, OSError) as error:
        sys.exit(f"bench-guard: {error}")
    print(table(counts))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(figures(counts), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
