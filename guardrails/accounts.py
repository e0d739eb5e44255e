"""Numbers that name an account: cards, IBANs, US social security numbers. By check sum, or loosely after their name."""

import re
from collections.abc import Iterator

NUMBER = re.compile(r"(?<![A-Za-z0-9])(?<!\d[.,])\d(?:(?:[ \t._-]|[ \t]{2})?\d){11,}(?![A-Za-z0-9])(?!,\d)")
GROUPS = {(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4)}
"""How card numbers are printed, in digits a group; a single group has 13 to 19."""
ISSUER = re.compile(r"[3-6]|2[2-7]|2131|1800")
CARD_BEFORE = re.compile(
    r"(?i)\b(?:(?:credit|debit|bank|visa|amex|maestro)[ ]?cards?|card|cc|pan|visa|master ?card|amex|american express"
    r"|maestro|diners(?: club)?|discover|jcb)(?![\w-])[^.!?\d\n]{0,20}$"
)
IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,60}", re.IGNORECASE)
LENGTHS = """AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20
EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28
LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24
RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"""
"""Characters of each country's IBAN, from the SWIFT registry of ISO 13616."""
COUNTRY = {entry[:2]: int(entry[2:]) for entry in LENGTHS.split()}
IBAN_BEFORE = re.compile(r"(?i)\biban\b[^.!?\d\n]{0,20}$")
LOOSE_IBAN = re.compile(r"[A-Za-z]{2}\d{2}(?:[A-Za-z0-9]{11,30}|(?:[ -][A-Z0-9]{1,4}){3,8})(?![A-Za-z0-9])")
SSN = re.compile(r"(?<![\w.-])(?!000|666)\d{3}([- ])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-])(?!\.\d)")
SSN_LOOSE = re.compile(r"(?<![\w.-])\d{3}[-. ]?\d{2}[-. ]?\d{4}(?![\w-])(?!\.\d)")
SSN_BEFORE = re.compile(r"(?i)(?:\bssn|\bss#|\bsocial security|\bsocialnum|\btax(?:payer)? id|\bitin)[^.!?\d\n]{0,24}$")
"""Without its name a number that begins with 000 or 666 is none; those that begin with 9 are taxpayers'."""
BEFORE = 48
"""Characters before a number in which its name is looked for."""

Spans = Iterator[tuple[int, int]]


def luhn(digits: str) -> bool:
    """The check sum of card numbers (ISO/IEC 7812-1)."""
    doubled = [int(d) * (1 + n % 2) for n, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def mod97(iban: str) -> bool:
    """The check sum of account numbers (ISO 13616)."""
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1


def cards(text: str, before: str) -> Spans:
    """Card numbers: by check sum, or any number of 12 to 19 digits after a word for a card."""
    for match in NUMBER.finditer(text):
        found = list(checked_cards(match[0]))
        digits = re.sub(r"\D", "", match[0])
        if found:
            yield from ((match.start() + begin, match.start() + end) for begin, end in found)
        elif 12 <= len(digits) <= 19 and CARD_BEFORE.search(behind(before, text, match.start())):
            yield match.span()


def checked_cards(run: str) -> Spans:
    """Spans of the card numbers in a run of digits that spaces, hyphens, underscores or full stops part."""
    groups = list(re.finditer(r"\d+", run))
    first = 0
    while first < len(groups):
        for count in (5, 4, 3, 1):
            some = groups[first : first + count]
            digits = "".join(g[0] for g in some)
            begin, end = some[0].start(), some[-1].end()
            # One group of digits beside a full stop is part of a decimal fraction.
            single = count == 1 and 13 <= len(digits) <= 19 and "." not in run[max(begin - 1, 0) : end + 1]
            if (single or tuple(len(g[0]) for g in some) in GROUPS) and ISSUER.match(digits) and luhn(digits):
                yield begin, end
                first += count - 1
                break
        first += 1


def ibans(text: str, before: str) -> Spans:
    """Account numbers: of their country's length and check sum, or any after the word IBAN. Words may follow them."""
    for match in IBAN.finditer(text):
        run = match[0]
        named = IBAN_BEFORE.search(behind(before, text, match.start()))
        place = [n for n, c in enumerate(run) if c.isalnum()]
        length = COUNTRY.get(run[:2].upper(), 0)
        if 0 < length <= len(place):
            end = place[length - 1] + 1
            whole = not text[match.start() + end : match.start() + end + 1].isalnum()
            compact = re.sub(r"[ -]", "", run[:end])
            parted = len(compact) < end
            shaped = compact.isupper() or (compact.islower() and not parted)
            if whole and (named or (shaped and mod97(compact))):
                yield match.start(), match.start() + end
                continue
        if named and (loose := LOOSE_IBAN.match(run)):
            yield match.start(), match.start() + len(loose[0])


def social_numbers(text: str, before: str) -> Spans:
    """US social security and taxpayer numbers as they are printed, or any nine digits after their name."""
    taken = -1
    for match in SSN_LOOSE.finditer(text):
        if match.start() >= taken and (
            SSN.match(text, match.start()) or SSN_BEFORE.search(behind(before, text, match.start()))
        ):
            taken = match.end()
            yield match.span()


def behind(before: str, text: str, at: int) -> str:
    """What stands before `text[at]`."""
    return (before + text[max(at - BEFORE, 0) : at])[-BEFORE:]
