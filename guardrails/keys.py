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
    r"|(?:bot)?\d{8,10}:[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"  # Telegram
    r"|(?<=hooks\.slack\.com/services/)T\w{6,16}/B\w{6,16}/(?!X{4})\w{16,64}"
    r")"
)
AUTHORIZED = re.compile(r"(?i:\bbearer|\bbasic)[ \t]$")
"""What stands before the credentials of an HTTP header."""
BEARER = re.compile(r"[A-Za-z0-9._~+/=-]{20,}")
SLASHED = r"(?![<{$]|(?i:\w{0,16}port|\d{1,5})/)[^\s/@]{0,256}(?:@\w{0,64})?/[^\s/@]{1,256}"
"""A password with a slash, which the URL should have escaped; not a port before a path."""
CREDENTIALS = re.compile(rf"(?<=://)[^\s/:@]{{0,256}}:(?:{SLASHED}|[^\s/]{{1,256}})(?=@)")
STRONG = (
    r"(?:[\w-]{0,24}(?:token|secret|passw(?:or)?d|pwd|passphrase|(?:api|access|private|secret)[ _-]?key"
    r"|account[_-]?key|signature|credential)|apikey|sig|jwt)"
)
"""Names whose value is a secret."""
PASSWORD = re.compile(r"(?i)passw|pwd|passphrase")
WEAK = r"(?:key|auth|code|session|session_?id|sid|pass|state|hmac)"
"""Names whose value may be one, if it looks random."""
PARAMETER = re.compile(rf"(?i)[?&;#](?:(?P<strong>{STRONG})|{WEAK})=(?P<value>[^\s&#\"'<>`)\]}}|;,]{{4,2048}})")
JOINT = (
    r"[\"'`*_\\]{0,4}(?:[ \t]?(?P<sign>:=|=>|[:=])|[ \t]?\||[ \t](?:is|was)\b:?)(?P<gap>[\"'`*_]{0,3}[ \t])?"
    r"(?P<quote>[\"'`\\]{0,3})"
)
"""Between a name and its value: a sign, the edge of a table's cell or a verb, also in bold or quotes."""
ASSIGNED = re.compile(
    rf"(?i)(?<![A-Za-z0-9?&;#])(?P<name>{STRONG}){JOINT}"
    r"(?=(?P<value>(?:[\w+/=.~!@#$%^?*-]|&(?!(?-i:[a-z_]{3,32}=))){8,512}))"
)
EXPECTS = re.compile(r"(?i)(?:[:=|]|\b(?:is|was):?)[\"'`*_\\]{0,3}[ \t]?$")
"""Ends like a name and what joins it to a value."""
PLACEHOLDER = re.compile(
    r"^(?:[<{].*|\$(?:[{(].*|[A-Z_][A-Z0-9_]*|[a-z_]+)|%(?:[sd]|[({].*|\w+%)|\*+)$|(?i:x{4})|\.\.\."
    r"|(?i:(?<![a-z])(?:your|example|dummy|sample|change.?me|placeholder|redacted)(?![a-z]))"
    r"|(?i:your[_-]?(?:api|key|token|secret|pass))|(?i:(?:^|[_-])(?:key|token|secret|password)$)"
)
"""What documentation writes in a secret's place."""
COMPOUND = re.compile(r"[A-Za-z]*\d{0,3}(?:-[A-Za-z]+\d{0,3})+[.,!?*_]*")
"""Words such as sha256-hashed or 12-character: after a verb or in a table, what is said of passwords."""
SYMBOL = re.compile(r"\w[-.]?[!@#$%^&*+~]+[-.]?\w")
LETTERS = re.compile(r"(?i)(?!required|optional|undefined|(?:dis|en)abled|[a-z]*(?:password|secret))[a-z]+(?:-[a-z]+)*")
WINDOW = 64
"""Characters before a value in which its name is looked for."""

Spans = Iterator[tuple[int, int]]


def random_looking(value: str, least: int) -> bool:
    """Whether `value` has letters and digits, at least `least` characters, and is no placeholder."""
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return mixed and len(value) >= least and not PLACEHOLDER.search(value)


def password(match: re.Match[str]) -> bool:
    """Whether what is assigned to a password's name is one, not prose or code.

    Letters alone are one in quotes, or behind the = of a variable in capitals.
    """
    value, name = match["value"], match["name"]
    if PLACEHOLDER.search(value) or (not match["sign"] and COMPOUND.fullmatch(value)):
        return False
    literal = match["sign"] and (match["quote"] or (name.isupper() and match["sign"] == "=" and not match["gap"]))
    letters = bool(literal and LETTERS.fullmatch(value) and value.lower() not in name.lower())
    return letters or value.isdigit() or bool(SYMBOL.search(value)) or random_looking(value, 8)


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
    """Values assigned to a secret's name: `API_KEY=...`, `my password is ...`; the name may stand in `before`."""
    near = before[-WINDOW:]
    taken = len(near)
    for match in ASSIGNED.finditer(near + text):
        begin, end = match.span("value")
        if begin >= taken and (
            password(match) if PASSWORD.search(match["name"]) else random_looking(match["value"], 16)
        ):
            taken = end
            yield begin - len(near), end - len(near)
