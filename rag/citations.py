"""Citation markers in an answer: `[2]`, lists and ranges such as `[1, 9]` and `[2-4]`, and `【2】`."""

import re
from collections.abc import Iterator

NUMBERS = r"\d{1,3}(?:\s?[,;–-]\s?\d{1,3})*"
MARKER = re.compile(rf'(?<!":)(?<!": )(?<!= )(?<!=)(?:\[({NUMBERS})\]|【({NUMBERS})】)')
"""What follows `":` or `=` is a list of numbers in JSON or in code."""
PART = re.compile(r"(\d+)(?:\s?[–-]\s?(\d+))?")
MAX_RANGE = 20
"""Numbers in a range that are told one by one; of a longer one its ends are."""


def markers(text: str) -> Iterator[tuple[re.Match[str], list[int]]]:
    """Every marker of `text`, in order, with the numbers it cites. A list with a 0 is an interval and cites nothing."""
    for match in MARKER.finditer(text):
        numbers = [n for part in PART.finditer(match[1] or match[2]) for n in spread(part)]
        if len(numbers) == 1 or 0 not in numbers:
            yield match, numbers


def spread(part: re.Match[str]) -> list[int]:
    """The numbers of `7`, or of the range `2-4`."""
    first, last = int(part[1]), int(part[2] or part[1])
    return list(range(first, last + 1)) if 0 <= last - first < MAX_RANGE else [first, last]
