"""Made-up text for the demo model: paths, URLs, numbers, code-like names, symbols, foreign letters and emoji.

Installed documentation hardly holds these, and a quote must copy them exactly. It knows nothing of tokens.
"""

import random
import string
from collections.abc import Callable

_SCRIPTS = (
    (0x00C0, 0x024F), (0x0370, 0x03FF), (0x0400, 0x044F), (0x05D0, 0x05EA), (0x0620, 0x064A), (0x0905, 0x0939),
    (0x0E01, 0x0E2E), (0x3041, 0x3096), (0x30A1, 0x30FA), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0x10D0, 0x10FA),
)  # fmt: skip
_SYMBOLS = ((0x2010, 0x2027), (0x2030, 0x205E), (0x20A0, 0x20BF), (0x2190, 0x22FF), (0x2500, 0x27BF), (0x00A1, 0x00BF))
_EMOJI = ((0x1F300, 0x1F64F), (0x1F680, 0x1F6C5), (0x1F90C, 0x1F9FF), (0x2600, 0x26FF))
_LATIN = "àâäáãåæçéèêëíîïñóôöøœßúùûüýÿčšžłńśźżğıșțđ"
_WORDS = [
    "node", "replica", "cursor", "index", "token", "batch", "stream", "cache", "plan", "shard", "queue", "actor",
    "worker", "config", "head", "tail", "test", "data", "user", "api", "core", "main", "build", "run", "log", "tmp",
    "src", "lib", "bin", "get", "set", "new", "old", "max", "min", "error", "value", "key", "name", "path", "file",
    "line",
]  # fmt: skip


def _draw(rng: random.Random, blocks: tuple[tuple[int, int], ...], count: int) -> str:
    low, high = rng.choice(blocks)
    return "".join(chr(rng.randint(low, high)) for _ in range(count))


def _word(rng: random.Random) -> str:
    if rng.random() < 0.75:
        return rng.choice(_WORDS)
    return "".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randint(1, 9)))


def _name(rng: random.Random) -> str:
    words = [_word(rng) for _ in range(rng.randint(1, 4))]
    style = rng.randrange(5)
    if style == 0:
        return "".join(w.capitalize() for w in words)
    if style == 1:
        return "_".join(words).upper()
    return ("_", "-", ".")[style - 2].join(words)


def _path(rng: random.Random) -> str:
    parts = [_name(rng) for _ in range(rng.randint(2, 6))]
    suffix = rng.choice(["", ".py", ".yaml", ".json", ".tar.gz", "/", ".md", ".so.1"])
    start = rng.choice(["/", "./", "~/", "../", "C:\\", ""])
    return start + ("\\" if start == "C:\\" else "/").join(parts) + suffix


def _url(rng: random.Random) -> str:
    host = ".".join(_word(rng) for _ in range(rng.randint(1, 3))) + rng.choice([".com", ".org", ".io", ":8000", ""])
    query = "?" + "&".join(f"{_word(rng)}={_number(rng)}" for _ in range(rng.randint(1, 3)))
    return f"{rng.choice(['http', 'https', 's3', 'gs'])}://{host}/{_name(rng)}{query if rng.random() < 0.4 else ''}"


def _number(rng: random.Random) -> str:
    digits = "".join(rng.choice(string.digits) for _ in range(rng.randint(1, 12)))
    return rng.choice(
        [digits, f"{rng.uniform(-1e4, 1e4):.{rng.randint(0, 6)}f}", f"{rng.randrange(10**9):,}", f"{rng.random():.3e}",
         f"0x{rng.randrange(16**8):08x}", f"v{rng.randrange(9)}.{rng.randrange(40)}.{rng.randrange(20)}",
         f"{rng.randrange(256)}.{rng.randrange(256)}.0.{rng.randrange(256)}:{rng.randrange(65536)}",
         f"20{rng.randrange(10, 40)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}T{rng.randrange(24):02}:00:00Z",
         f"{rng.randrange(1000)}{rng.choice(['%', ' ms', ' GiB', 'k', ' €', '°C'])}"]
    )  # fmt: skip


def _hash(rng: random.Random) -> str:
    return "".join(rng.choice("0123456789abcdef") for _ in range(rng.choice([7, 12, 32, 40])))


def _foreign(rng: random.Random) -> str:
    if rng.random() < 0.5:
        letters = string.ascii_lowercase + _LATIN * 2
        return " ".join("".join(rng.choice(letters) for _ in range(rng.randint(2, 10))) for _ in range(4))
    return " ".join(_draw(rng, _SCRIPTS, rng.randint(1, 8)) for _ in range(rng.randint(1, 4)))


def _symbols(rng: random.Random) -> str:
    return _draw(rng, rng.choice([_SYMBOLS, _EMOJI]), rng.randint(1, 4))


def _punctuation(rng: random.Random) -> str:
    return "".join(rng.choice(string.punctuation) for _ in range(rng.randint(1, 10)))


def _call(rng: random.Random) -> str:
    arguments = ", ".join(f"{_word(rng)}={rng.choice([_number, _name])(rng)!r}" for _ in range(rng.randint(0, 4)))
    return f"{_name(rng)}({arguments})"


def _mapping(rng: random.Random) -> str:
    return "{" + ", ".join(f'"{_word(rng)}": {_number(rng)}' for _ in range(rng.randint(1, 5))) + "}"


def _command(rng: random.Random) -> str:
    flags = " ".join(f"--{_name(rng)}{rng.choice([' ', '='])}{_number(rng)}" for _ in range(rng.randint(1, 4)))
    return f"$ {_word(rng)} {flags} | {_word(rng)} > {_path(rng)}"


def _plain(rng: random.Random) -> str:
    return " ".join(_word(rng) for _ in range(rng.randint(1, 6)))


_KINDS: tuple[Callable[[random.Random], str], ...] = (
    _name, _path, _url, _number, _hash, _foreign, _symbols, _punctuation, _call, _mapping, _command, _plain, _plain,
)  # fmt: skip


def synthetic_line(rng: random.Random, items: int) -> str:
    """Return one line made of `items` random pieces; few kinds a line, so that its parts resemble each other."""
    kinds = rng.sample(_KINDS, rng.randint(1, 4))
    line = " ".join(rng.choice(kinds)(rng) for _ in range(items))
    return " ".join(line.split()) or "0"
