"""What is masked: kinds of secret and of personal data, found by the patterns and check sums of the files beside it.

Knows nothing of streams: `mask.py` cuts the text for it.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from guardrails import accounts, addresses, keys, phones
from guardrails.normalise import INVISIBLE

Kind = Literal[
    "private key", "token", "credentials", "secret", "email", "ip", "private ip", "iban", "card", "ssn", "phone"
]
KINDS: frozenset[Kind] = frozenset(get_args(Kind))
MASKED = KINDS - {"private ip"}
"""What is masked by default. Loopback, private and documentation addresses harm nobody; technical texts need them."""
SECRETS: frozenset[Kind] = frozenset({"private key", "token", "credentials", "secret"})

SAME_WIDTH = str.maketrans(
    {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
    | dict.fromkeys([*range(0x2010, 0x2016), 0x2212, 0xFE58, 0xFE63], "-")
    | dict.fromkeys([0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F], " ")
)
"""Full-width letters, typographic hyphens and spaces as their ASCII."""

BLANK = "\0"
LABELS: dict[Kind, str] = {"private ip": "ip"}
Finder = Callable[[str, str, str], Iterator[tuple[int, int]]]
"""Takes a text and what stands before and behind it; yields spans in order, without overlaps."""


HARMLESS = re.compile(r"[\"'(\[*_`]*[^\s\d@＠=＝%&:\[({<［（｛＜]{1,19}[:)\]]*|")
"""A short word without digits and signs: no pattern takes one but as a value, and most cells are one."""


@dataclass(frozen=True, slots=True)
class Found:
    """`text[start:end]` is sensitive."""

    start: int
    end: int
    kind: Kind


def plain(text: str) -> str:
    """`text` as the patterns read it: in ASCII forms, without invisible characters."""
    return text if text.isascii() else INVISIBLE.sub("", text).translate(SAME_WIDTH)


FINDERS: tuple[tuple[Kind, Finder], ...] = (
    ("private key", lambda text, before, after: keys.private_keys(text)),
    ("token", lambda text, before, after: keys.tokens(text, before)),
    ("credentials", lambda text, before, after: keys.credentials(text)),
    ("secret", lambda text, before, after: keys.parameters(text)),
    ("secret", lambda text, before, after: keys.assigned(text, before)),
    ("email", lambda text, before, after: addresses.emails(text)),
    ("ip", lambda text, before, after: addresses.ip_addresses(text, before, "public")),
    ("private ip", lambda text, before, after: addresses.ip_addresses(text, before, "private")),
    ("iban", lambda text, before, after: accounts.ibans(text, before)),
    ("card", lambda text, before, after: accounts.cards(text, before)),
    ("ssn", lambda text, before, after: accounts.social_numbers(text, before)),
    ("phone", phones.phones),
)
"""In order: what one kind took, the later ones do not see."""


def find_in_cell(text: str, before: str = "", after: str = "") -> list[Found]:
    """What is sensitive in a cell of text, in order, without overlaps; `before` and `after` are what stands around it.

    Some numbers are only known by the word before them. Time is linear in the text.
    """
    if HARMLESS.fullmatch(text) and not keys.EXPECTS.search(before[-8:]):
        return []
    rest, before, after = plain(text), plain(before), plain(after)
    found: list[Found] = []
    for kind, finder in FINDERS:
        if new := [Found(begin, end, kind) for begin, end in finder(rest, before, after)]:
            rest = blanked(rest, new)
            found += new
    found.sort(key=lambda f: f.start)
    if len(rest) == len(text):
        return found
    places = [n for n, char in enumerate(text) if not INVISIBLE.match(char)]
    return [Found(places[f.start], places[f.end - 1] + 1, f.kind) for f in found]


def blanked(text: str, found: Sequence[Found]) -> str:
    """`text` with what was found made unreadable, of the same length."""
    parts, at = [], 0
    for span in found:
        parts += [text[at : span.start], BLANK * (span.end - span.start)]
        at = span.end
    return "".join([*parts, text[at:]])


def labelled(text: str, found: Sequence[Found]) -> str:
    """`text` with each span that was found in it as its kind in brackets."""
    parts, at = [], 0
    for span in found:
        parts += [text[at : span.start], f"[{LABELS.get(span.kind, span.kind)}]"]
        at = span.end
    return "".join([*parts, text[at:]])
