"""Types of the benchmarks' command-line arguments: argparse names the option in front of what they say."""

import argparse
from pathlib import Path

from pydantic import ValidationError

from rag.store import IndexConfig


def positive(text: str) -> int:
    """A whole number of at least 1."""
    return at_least(1, text)


def natural(text: str) -> int:
    """A whole number of at least 0."""
    return at_least(0, text)


def at_least(least: int, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least {least}")
    return number


def existing(text: str) -> Path:
    """A file or folder that is there."""
    path = Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"there is no {path}")
    return path


def index_config(text: str) -> IndexConfig:
    """The store's `index` settings as JSON."""
    try:
        return IndexConfig.model_validate_json(text)
    except ValidationError as error:
        places = [f"{'.'.join(map(str, e['loc'])) or repr(text)}: {e['msg']}" for e in error.errors()]
        raise argparse.ArgumentTypeError("; ".join(places)) from error
