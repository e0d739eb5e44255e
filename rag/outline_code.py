"""The outline of source code and configuration files: a section for each top-level definition, made of blocks.

By indentation and keywords, for any language: a parser for each would be a package for each.
"""

import re
from collections.abc import Iterator

from rag.outline import MAX_HEADING, Block, Line, Section

CODE_SUFFIXES = """
.py .js .mjs .ts .tsx .jsx .go .java .kt .scala .rs .c .h .cc .cpp .hpp .cs .rb .php .swift .lua .r .jl .pl .sql .proto
.sh .bash .yaml .yml .toml .ini .cfg .css"""
CODE = tuple(CODE_SUFFIXES.split())
WORDS = "export default public private protected internal static final abstract async pub unsafe extern inline virtual"
DEFINITION = re.compile(
    rf"(?P<indent>[ \t]*)(?:(?:{'|'.join(WORDS.split())})(?:\([^)\n]*\))?\s+)*"
    r"(?:class|def|function\*?|func|fn|interface|trait|struct|enum|impl|module|namespace|type|message|service|object)\b"
    r"(?:\s*\([^)\n]{0,200}\))?(?:<[^>\n]{0,200}>)?\s+(?P<name>[\w.$:]+)"
)
TABLE = re.compile(r"\[{1,2}(?P<name>[^\[\]\n]+)\]{1,2}\s*(?:#.*)?$")
"""A TOML or INI section."""
C_FUNCTION = re.compile(r"(?!return|else|typedef)[A-Za-z_][\w\s*&:<>,]*?\b(?P<name>[\w:~]++)\s*\([^;]*\)[^;()]*\{\s*$")
MAX_SIGNATURE = 300
"""Characters of a line up to which it is matched with C_FUNCTION, which takes time that grows with their square."""
SHELL_FUNCTION = re.compile(r"(?P<name>[\w-]+)\s*\(\)\s*\{")
LEADING = ("@", "#", "//", "/*", "*", "--")
"""How lines begin that belong to the definition after them: decorators and comments."""


def code_sections(text: str) -> list[Section]:
    """Split at top-level definitions; all that is not blank stands in exactly one block, in order.

    A section's heading is the name that is defined, its anchor the line number (`L12`).
    """
    lines = [Line(m.start(), m.end(), m[0]) for m in re.finditer(r"[^\n]+", text)]
    lines = [line for line in lines if line.text.strip()]
    starts: dict[int, tuple[int, str]] = {}
    last = -1
    for n, defined in definitions(lines):
        starts[first(lines, n, last + 1)] = defined
        last = n
    out = [Section()]
    begin, counted, number = 0, 0, 1
    edge = indent(lines[0]) if lines else 0
    for n, line in enumerate(lines):
        depth, name = starts.get(n, (1, ""))
        apart = n and text.count("\n", lines[n - 1].end, line.start) > 1 and indent(line) <= edge
        if n and (n in starts or apart):
            out[-1].blocks.append(Block(lines[begin].start, lines[n - 1].end, rows=True))
            begin, edge = n, indent(line)
        if name and depth == 0:
            number += text.count("\n", counted, line.start)
            counted = line.start
            out.append(Section((name,), f"L{number}"))
    if lines:
        out[-1].blocks.append(Block(lines[begin].start, lines[-1].end, rows=True))
    return [section for section in out if section.blocks]


def definitions(lines: list[Line]) -> Iterator[tuple[int, tuple[int, str]]]:
    """Line, indentation and name of what is defined."""
    for n, line in enumerate(lines):
        match = DEFINITION.match(line.text)
        if not match and line.text[0] not in " \t#/*":
            match = TABLE.match(line.text) or SHELL_FUNCTION.match(line.text)
            if not match and len(line.text) <= MAX_SIGNATURE:
                match = C_FUNCTION.match(line.text)
        if match:
            yield n, (indent(line), match["name"].strip()[:MAX_HEADING])


def first(lines: list[Line], at: int, least: int) -> int:
    """The line, `least` or later, where the definition of line `at` begins: the decorators and comment above it are
    its own.
    """
    while at > least and indent(lines[at - 1]) == indent(lines[at]) and touches(lines[at - 1], lines[at]):
        at -= 1
    return at


def touches(above: Line, line: Line) -> bool:
    """Whether `above` is a decorator or comment right above `line`."""
    return above.end + 1 == line.start and above.text.lstrip().startswith(LEADING)


def indent(line: Line) -> int:
    return len(line.text) - len(line.text.lstrip())
