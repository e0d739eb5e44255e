"""`python -m app.keys NAME [--tenant T] [--group G] [--role R] [--batch]`: makes an API key, and its entry."""

import argparse
import secrets
import sys
from collections.abc import Sequence
from typing import get_args

from pydantic import ValidationError

from app.auth import digest
from app.services import KeyConfig, KeyRole


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a new key and its YAML entry. The key itself is stored nowhere."""
    parser = argparse.ArgumentParser(prog="python -m app.keys", description=__doc__)
    parser.add_argument("name", help="who holds the key; the user id in traces")
    parser.add_argument("--tenant", default="default", help="whose documents the key sees (default: %(default)s)")
    parser.add_argument("--group", action="append", default=[], help="a group whose documents it also sees; repeatable")
    parser.add_argument("--role", action="append", default=[], choices=get_args(KeyRole), help="what it also may do")
    parser.add_argument("--batch", action="store_true", help="its requests come after the interactive ones")
    options = parser.parse_args(arguments)
    key = "rgl-" + secrets.token_urlsafe(32)
    try:
        entry = KeyConfig(
            name=options.name,
            sha256=digest(key),
            tenant=options.tenant,
            groups=options.group,
            roles=options.role,
            priority="batch" if options.batch else "interactive",
        )
    except ValidationError as error:
        parser.error("; ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors()))
    print(f"The key, shown once: {key}\nUnder `api_keys` in the Serve YAML:")
    print(f"- name: {quoted(entry.name)}\n  sha256: {entry.sha256}\n  tenant: {quoted(entry.tenant)}")
    if entry.groups:
        print(f"  groups: [{', '.join(quoted(group) for group in entry.groups)}]")
    if entry.roles:
        print(f"  roles: [{', '.join(entry.roles)}]")
    if entry.priority == "batch":
        print("  priority: batch")
    return 0


def quoted(text: str) -> str:
    """A YAML single-quoted scalar."""
    return "'" + text.replace("'", "''") + "'"


if __name__ == "__main__":
    sys.exit(main())
