"""Secrets: private keys, tokens, passwords in URLs and in assignments. Patterns only; `sensitive.py` runs them."""

import re
from collections.abc import Iterator

KEY_BEGIN = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
KEY_END = r"-----END [A-Z0-9 ]{0,40}-----"
PRIVATE_KEY = re.compile(rf"{KEY_BEGIN}[\s\S]*?(?:{KEY_END}|\Z)")
TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"eyJ[A-Za-z0-9_-]{8,2048}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"  # JSON web token
    r"|sk-[A-Za-z0-9_-]{20,}"  # OpenAI, Anthropic, Langfuse, LiteLLM
    r"|(?:gh[pousr]_|github_pat_|glpat-|hf_|npm_|nvapi-|xox[abeprs]-|xapp-|dop_v1_|pypi-|gsk_|xai-|glsa_|shpat_)"
    r"[A-Za-z0-9_-]{20,}"
    r"|(?:ya29|SG|hvs)\.[A-Za-z0-9_.-]{20,}"  # Google OAuth, SendGrid, Vault
    r"|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}"  # Stripe
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"  # AWS access key id
    r"|AIza[A-Za-z0-9_-]{35}"  # Google
    r"|dapi[0-9a-f]{32}"  # Databricks
    r")"
)
AUTHORIZED = re.compile(r"(?i:\bbearer|\bbasic)[ \t]$")
"""What stands before the credentials of an HTTP header."""
BEARER = re.compile(r"[A-Za-z0-9._~+/=-]{20,}")
CREDENTIALS = re.compile(r"(?<=://)[^\s/:@]{0,256}:[^\s/@]{1,256}(?=@)")
STRONG = (
    r"(?:[\w-]{0,24}(?:token|secret|passw(?:or)?d|passwd|pwd|passphrase|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|signature|credential)|apikey|sig|jwt)"
)
"""Names whose value is a secret."""
WEAK = r"(?:key|auth|code|session|session_?id|sid|pass|state|hmac)"
"""Names whose value may be one, if it looks random."""
PARAMETER = re.compile(rf"(?i)[?&;#](?:(?P<strong>{STRONG})|{WEAK})=(?P<value>[^\s&#\"'<>`)\]}}|;,]{{4,2048}})")
ASSIGNED = re.compile(
    rf"(?i)(?<![A-Za-z0-9?&;#]){STRONG}[\"'`]{{0,2}}[ \t]?(?:[:=]|:=|=>)[ \t]?[\"'`]{{0,2}}"
    r"(?P<value>[A-Za-z0-9+/_=.~!@$%^*-]{8,512})"
)
PLACEHOLDER = re.compile(
    r"[$<{*%]|(?i:your|change.?me|placeholder|redacted|x{4}|\.\.\.|(?:^|[_-])(?:key|token|secret|password)$)|example|dummy"
)
"""What documentation writes in a secret's place."""
WINDOW = 64
"""Characters before a value in which its name is looked for."""

Spans = Iterator[tuple[int, int]]


def random_looking(value: str, least: int) -> bool:
    """Whether `value` has letters and digits, at least `least` characters, and is no placeholder."""
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return mixed and len(value) >= least and not PLACEHOLDER.search(value)


def private_keys(text: str) -> Spans:
    """Private keys in PEM, also cut off."""
    yield from (m.span() for m in PRIVATE_KEY.finditer(text))


def tokens(text: str, before: str) -> Spans:
    """Tokens known by their prefix, and what follows `Bearer` or `Basic`.

    A random token holds digits or capitals; a hyphenated name such as sk-learn-compatible-things does not.
    """
    found = [m for m in TOKEN.finditer(text)]
    if AUTHORIZED.search(before) and (bearer := BEARER.match(text)):
        found.append(bearer)
    yield from (m.span() for m in found if any(c.isdigit() or c.isupper() for c in m[0]))


def credentials(text: str) -> Spans:
    """`user:password` in a URL."""
    if "@" in text:
        yield from (m.span() for m in CREDENTIALS.finditer(text))


def parameters(text: str) -> Spans:
    """Values of a URL's secret parameters, such as `?token=...`."""
    if "=" not in text:
        return
    for match in PARAMETER.finditer(text):
        value = match["value"]
        if random_looking(value, 16) or (match["strong"] and len(value) >= 6 and not PLACEHOLDER.search(value)):
            yield match.span("value")


def assigned(text: str, before: str) -> Spans:
    """Values assigned to a secret's name: `API_KEY=...`, `password: ...`; the name may stand in `before`."""
    near = before[-WINDOW:]
    if ":" not in near + text and "=" not in near + text:
        return
    for match in ASSIGNED.finditer(near + text):
        least = 8 if "pass" in match[0].lower() or "pwd" in match[0].lower() else 16
        begin, end = match.start("value") - len(near), match.end("value") - len(near)
        if begin >= 0 and random_looking(match["value"], least):
            yield begin, end
