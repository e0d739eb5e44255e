"""Addresses on a network: e-mail, also spelled out ("ada [at] example [dot] com"), and IP."""

import re
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address
from typing import Literal

LETTER = r"[A-Za-z\u00c0-\u1fff\u2c00-\u2dff]"
EDGE = r"[A-Za-z0-9\u00c0-\u1fff\u2c00-\u2dff]"
LABEL = rf"{EDGE}(?:(?:{EDGE}|-){{0,61}}{EDGE})?"
TOP = rf"(?:xn--[A-Za-z0-9-]{{2,59}}|{LETTER}{{2,24}})(?!{EDGE}|-)"
"""Letters of domain names in ASCII and other alphabets; the scripts that words are not parted in have none."""
SIGN = r"(?:@|%40|&#0{0,5}64;|&#[xX]0{0,5}40;|&commat;|\\u0040)"
AT_SIGN = re.compile(SIGN)
DOT = r"(?:\\?\.|%2[eE]|&#0{0,5}46;|&#[xX]0{0,5}2[eE];|&period;|\\u002[eE])"
"""The signs as they are and as Markdown, HTML, URLs and JSON may write them."""
BOLD = r"[*_`~\\]{0,3}"
EMAIL = re.compile(
    r"(?<![\w.+%'-])(?!git@)(?=[.+%'-]{0,8}\w)[\w.+%'-]+?"
    rf"{BOLD}{SIGN}{BOLD}(?!\d[\d.]*\.(?:md|py|[jt]s|gz)\b)"
    rf"(?:{LABEL}{BOLD}{DOT}{BOLD})+(?!(?:ya?ml|json|toml|txt|html?|whl)\b){TOP}"
)
"""`git@host` names a repository and `name@1.yaml` a file, not a person's address."""
BRACKETED_AT, BRACKETED_DOT = r"[\[({<] ?at ?[\])}>]", r"[\[({<] ?(?:dot|\.) ?[\])}>]"
SPELLED = re.compile(
    rf"(?i)(?<![\w.+%'-])[\w.+%'-]+(?:"
    rf"(?: @ |@ | ?{BRACKETED_AT} ?)(?:{LABEL}(?:\.| ?{BRACKETED_DOT} ?| dot ))+"
    rf"| at (?:{LABEL}(?: ?{BRACKETED_DOT} ?| dot ))+"
    rf"){TOP}"
)
OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
IPV4 = re.compile(rf"(?<![\w.:])(?<![A-Za-z]-)(?:{OCTET}\.){{3}}{OCTET}(?!\w|\.\w)")
IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?:\.\d{1,3}){3})?(?![\w:]|\.\d)")
VERSION = re.compile(r"(?i)(?:\bversions?|\brelease|\bbuild|\bfirmware|\bdriver|[=<>~^]=|[/_ ]v|\bv)[\s\"'`:]{0,3}$")
"""What stands before a version of four numbers."""
GLOBAL = IPv6Address("2000::"), IPv6Address("3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
"""The global unicast range in use (IANA)."""

Scope = Literal["public", "private"]
"""Private: all that names no machine on the internet, such as loopback, unspecified and documentation addresses."""
Spans = Iterator[tuple[int, int]]


def emails(text: str) -> Spans:
    """E-mail addresses."""
    if AT_SIGN.search(text):
        yield from (m.span() for m in EMAIL.finditer(text))
    if "@ " in text or re.search(r"(?i)\bat\b", text):
        yield from (m.span() for m in SPELLED.finditer(text))


def ip_addresses(text: str, before: str, wanted: Scope) -> Spans:
    """IP addresses of the scope `wanted`; a version of four numbers is none."""
    if text.count(".") >= 3:
        for match in IPV4.finditer(text):
            version = VERSION.search((before + text[max(match.start() - 24, 0) : match.start()])[-24:])
            if not version and scope(match[0]) == wanted:
                yield match.span()
    if text.count(":") >= 2:
        yield from (m.span() for m in IPV6.finditer(text) if scope(m[0]) == wanted)


def scope(text: str) -> Scope | None:
    """Whether the address `text` is public; None when it is no address.

    Outside the IPv6 range in use, only a full address with groups of three digits or more counts as public.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if not address.is_global or address.is_multicast:
        return "private"
    if isinstance(address, IPv6Address) and not GLOBAL[0] <= address <= GLOBAL[1]:
        full = "::" not in text and any(len(group) > 2 for group in text.split(":"))
        return "public" if full else None
    return "public"
