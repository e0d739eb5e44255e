"""What an index was built from: a hash of every source file, so that the next run only does what changed."""

import hashlib
import json
import os
from pathlib import Path


def load_manifest(path: Path) -> dict[str, str]:
    """The hashes by document id; none where the file is missing or damaged: then everything counts as changed."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def save_manifest(path: Path, hashes: dict[str, str]) -> None:
    """Write the file at once or not at all."""
    part = path.with_suffix(".part")
    with part.open("w") as file:
        json.dump(hashes, file, indent=0, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def digest(*parts: bytes) -> str:
    """SHA-256 of the parts, each with its length before it."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return total.hexdigest()
