"""Training and held-out text for the demo model, read from what is installed beside the project.

Sources: docstrings and code lines of the standard library and of the installed packages, their READMEs, and the
project's own handbook. It knows nothing of tokens or of the model. The split is by file, so no held-out sentence
comes from a file that was trained on, and a held-out sentence that also stands in a training file is dropped.
"""

import hashlib
import random
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HELD_OUT_PERCENT = 6
READ_PERCENT = 25
CODE_LINES_PER_FILE = 30
MAX_SENTENCES = 160_000
MAX_CODE_LINES = 80_000
MIN_WORDS, MAX_WORDS = 5, 60

_DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`\"'(])")
_MARKUP = re.compile(r"^\s*([#>|=+*~-]|\.\. |:\w+|>>>|\.\.\.|```)")


@dataclass(frozen=True)
class Corpus:
    """Distinct one-line texts: `sentences` of 5 to 60 words, `code` lines of 12 to 140 characters."""

    sentences: list[str]
    code: list[str]


def _sources(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield (name that is the same on every machine, path) for each file to read."""
    paths = sysconfig.get_paths()
    for label, folder, pattern in (
        ("stdlib", Path(paths["stdlib"]), "*.py"),
        ("packages", Path(paths["purelib"]), "*.py"),
        ("packages", Path(paths["purelib"]), "*.md"),
        ("packages", Path(paths["purelib"]), "METADATA"),
        ("handbook", root / "docs", "*.md"),
    ):
        for path in folder.rglob(pattern):
            if label == "stdlib" and "site-packages" in path.parts:
                continue
            yield f"{label}/{path.relative_to(folder).as_posix()}", path


def _percent(name: str) -> int:
    """Return a number from 0 to 99 that depends on the name alone, so new files move no other file."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % 100


def _paragraphs(text: str) -> Iterator[str]:
    """Yield paragraphs of prose as one line each; lists, tables, doctests and field lists are left out."""
    for block in re.split(r"\n\s*\n", text):
        lines = block.splitlines()
        if lines and not any(_MARKUP.match(line) for line in lines):
            yield " ".join(block.split())


def _sentences(text: str) -> Iterator[str]:
    for paragraph in _paragraphs(text):
        for sentence in _SENTENCE_END.split(paragraph):
            words = len(sentence.split())
            letters = sum(c.isalpha() or c == " " for c in sentence)
            if MIN_WORDS <= words <= MAX_WORDS and letters > 0.75 * len(sentence) and len(sentence) < 8 * words:
                yield sentence


def _code_lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        line = line.strip()
        if 12 <= len(line) <= 140 and not line.isalpha() and line.isprintable():
            yield line


def _read(files: list[tuple[str, Path]], rng: random.Random) -> tuple[set[str], set[str]]:
    sentences: set[str] = set()
    code: set[str] = set()
    for _, path in sorted(files):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # test data of the standard library in other encodings
            continue
        if path.suffix == ".py":
            lines = list(_code_lines(_DOCSTRING.sub("", text)))
            code.update(rng.sample(lines, min(len(lines), CODE_LINES_PER_FILE)))
            text = "\n\n".join(_DOCSTRING.findall(text))
        sentences.update(_sentences(text))
    return sentences, code


def _sample(texts: set[str], limit: int, rng: random.Random) -> list[str]:
    ordered = sorted(texts)
    rng.shuffle(ordered)
    return ordered[:limit]


def read_corpus(root: Path, seed: int) -> tuple[Corpus, Corpus]:
    """Return (training corpus, held-out corpus) of the text installed with this interpreter.

    `root` is the project's folder, whose `docs/*.md` is read too. The same installation and seed give the same
    two corpora; another installation gives other files but the same split rule.
    """
    rng = random.Random(seed)
    files = [item for item in _sources(root) if _percent(item[0]) < READ_PERCENT]
    held_files = [item for item in files if _percent(item[0] + "#split") < HELD_OUT_PERCENT]
    held_names = {name for name, _ in held_files}
    train_sentences, train_code = _read([item for item in files if item[0] not in held_names], rng)
    held_sentences, held_code = _read(held_files, rng)
    return (
        Corpus(_sample(train_sentences, MAX_SENTENCES, rng), _sample(train_code, MAX_CODE_LINES, rng)),
        Corpus(
            _sample(held_sentences - train_sentences, MAX_SENTENCES, rng),
            _sample(held_code - train_code, MAX_CODE_LINES, rng),
        ),
    )
