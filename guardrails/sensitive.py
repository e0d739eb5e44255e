"""What is masked, as patterns and their arithmetic. Knows nothing of streams: `mask.py` cuts the text for it.

IP addresses are left alone: technical documents are full of harmless ones.
"""

import re
from collections.abc import Callable, Iterator

KEY_BEGIN = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
KEY_END = r"-----END [A-Z0-9 ]{0,40}-----"
PRIVATE_KEY = re.compile(rf"{KEY_BEGIN}[\s\S]*?(?:{KEY_END}|\Z)")

TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"  # JSON web token
    r"|sk-[A-Za-z0-9_-]{20,}"  # OpenAI, Anthropic, Langfuse, LiteLLM
    r"|(?:gh[pousr]_|github_pat_|glpat-|hf_|npm_|nvapi-|xox[abeprs]-|dop_v1_|pypi-)[A-Za-z0-9_-]{20,}"
    r"|(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}"  # Stripe
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"  # AWS access key id
    r"|AIza[A-Za-z0-9_-]{35}"  # Google
    r")"
)
BEARER = re.compile(r"(?<=[Bb]earer[ \t\xa0])[A-Za-z0-9._~+/=-]{20,}")
CREDENTIALS = re.compile(r"(?<=://)[^\s/:@]{1,256}:[^\s/@]{1,256}(?=@)")
EMAIL = re.compile(
    r"(?<![\w.+%'-])(?!git@)[\w.+%'-]+@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![A-Za-z0-9-])"
)
"""`git@host` is how repositories are named, not a person's address."""

SSN = re.compile(r"(?<![\w-])(?!000|666|9\d\d)\d{3}([- ])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-])")
NUMBER = re.compile(r"(?<![A-Za-z0-9])(?<!\d[.,])\d(?:[ \t\xa0-]?\d){12,}(?![A-Za-z0-9])(?![.,]\d)")
"""The digits of a decimal fraction are no card number."""
IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ \xa0]?[A-Z0-9]){11,60}")
PHONE = re.compile(
    r"(?<![\w.+-])(?:"
    r"\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,6}"  # international
    r"|(?:1[ .-])?\(\d{2,4}\)[ .-]?\d{3,4}[ .-]?\d{3,4}"  # (area) local
    r"|(?:1[ .-])?[2-9]\d{2}([.-])[2-9]\d{2}\1\d{4}"  # North America; with spaces it is as often a row of sizes
    r"|0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,4}|0\d(?:[ .]\d{2}){4}"  # a leading zero: Europe
    r")(?:(?:x| x| ext\.? ?)\d{1,5})?(?![\w-])"
)
GROUPS = {(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4)}
"""How card numbers are printed, in digits a group; a single group has 13 to 19."""


def luhn(digits: str) -> bool:
    """The check sum of card numbers (ISO/IEC 7812-1)."""
    doubled = [int(d) * (1 + n % 2) for n, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def mod97(iban: str) -> bool:
    """The check sum of account numbers (ISO 13616)."""
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1


def cards(run: str) -> Iterator[tuple[int, int]]:
    """Spans of the card numbers in a run of digits that spaces or hyphens part."""
    groups = list(re.finditer(r"\d+", run))
    first = 0
    while first < len(groups):
        for count in (5, 4, 3, 1):
            some = groups[first : first + count]
            digits = "".join(g[0] for g in some)
            shape = tuple(len(g[0]) for g in some)
            printed = shape in GROUPS or (count == 1 and 13 <= len(digits) <= 19)
            if printed and re.match(r"[3-6]|2[2-7]|2131|1800", digits) and luhn(digits):
                yield some[0].start(), some[-1].end()
                first += count - 1
                break
        first += 1


def ibans(run: str) -> Iterator[tuple[int, int]]:
    """Span of the account number a run starts with, if its check sum holds: words may follow it."""
    for end in range(len(run), 14, -1):
        compact = re.sub(r"[ \xa0]", "", run[:end])
        whole = end == len(run) or not (run[end].isalnum() and run[end - 1].isalnum())
        if whole and 15 <= len(compact) <= 34 and not run[end - 1].isspace() and mod97(compact):
            yield 0, end
            return


def within(pattern: re.Pattern[str], find: Callable[[str], Iterator[tuple[int, int]]], label: str, text: str) -> str:
    """Mask the spans that `find` sees in each match of `pattern`."""

    def replace(match: re.Match[str]) -> str:
        out, at = "", 0
        for begin, end in find(match[0]):
            out, at = out + match[0][at:begin] + label, end
        return out + match[0][at:]

    return pattern.sub(replace, text)


def is_token(match: re.Match[str]) -> bool:
    """Random tokens hold digits or capitals; a hyphenated name such as sk-learn-compatible-things does not."""
    return any(c.isdigit() or c.isupper() for c in match[0])


def is_phone(match: re.Match[str]) -> bool:
    """8 to 15 digits (ITU-T E.164)."""
    return 8 <= sum(c.isdigit() for c in match[0]) <= 15


def find_secrets(text: str) -> list[str]:
    """The kinds of secret in `text`: `private key`, `token`, `credentials`. Never the secrets."""
    kinds = {
        "private key": PRIVATE_KEY.search(text) is not None,
        "token": any(is_token(m) for p in (TOKEN, BEARER) for m in p.finditer(text)),
        "credentials": CREDENTIALS.search(text) is not None,
    }
    return [kind for kind, present in kinds.items() if present]


def mask_cell(text: str) -> str:
    """Mask everything sensitive in a short stretch of text, longest forms first."""
    text = PRIVATE_KEY.sub("[private key]", text)
    for pattern in (TOKEN, BEARER):
        text = pattern.sub(lambda m: "[token]" if is_token(m) else m[0], text)
    if "@" in text:
        text = EMAIL.sub("[email]", CREDENTIALS.sub("[credentials]", text))
    text = within(IBAN, ibans, "[iban]", text)
    text = within(NUMBER, cards, "[card]", text)
    text = SSN.sub("[ssn]", text)
    return PHONE.sub(lambda m: "[phone]" if is_phone(m) else m[0], text)
