"""Phone numbers: by their printed form, or loosely after a word such as "phone" or before one such as "fax"."""

import re
from collections.abc import Iterator

CALLING_CODE = (
    r"(?:1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]"
    r"|2[1-69]\d|3[578]\d|42[013]|5[09]\d|6[789]\d|8[05789]\d|9[679]\d)"
)
"""Country calling codes (ITU-T E.164)."""
SEP = r"(?:[ \t./-]{1,2}|(?=\()|(?<=\)))"
GROUP = r"\(?\d{1,14}\)?"
EXTENSION = r"(?:(?:[ ,]{0,2}(?:x|ext\.?|#)[ ]?)\d{1,6})?"
END = rf"{EXTENSION}(?![\w-])(?!\.\d)"
PRINTED = re.compile(
    r"(?<![\w.+-])(?:"
    rf"(?:\(\+{CALLING_CODE}\)|(?:\+[ ]?|(?<!:)(?:00|011)[ .-]?(?=[1-9])){CALLING_CODE})"
    rf"{SEP}?{GROUP}(?:{SEP}{GROUP}){{0,6}}"
    r"|(?:1[ .-]?)?\(\d{2,5}\)[ ./-]{0,2}\d{2,5}(?:[ ./-]\d{2,5}){0,3}"  # (area) local
    r"|(?:1[ .-])?\d{3}-\d{3}-\d{4}|(?:1[ .-])?\d{3}\.\d{3}\.\d{4}|(?:1 )?\d{3} \d{3}-\d{4}"  # North America
    r"|0[1-9]\d{0,3}(?:[ ./-]\d{2,8}){1,4}"  # with a leading zero: most countries
    rf"){END}"
)
"""What is a phone number whatever stands around it. Groups that spaces part are as often a row of sizes."""
LOOSE = re.compile(rf"(?<![\w.+-])\+?{GROUP}(?:{SEP}{GROUP}){{0,7}}{END}")
DATE = re.compile(r"\d{1,2}([./-])\d{1,2}\1(?:\d{4}(?!\d)|\d{2}(?![\d./-]))|\d{4}-\d{2}-\d{2}(?!\d)")
NOUN = (
    r"(?:(?:tele)?phone|tel|mobile|cell(?:phone|ular)?|fax|whatsapp|sms|hotline|t[eé]l[eé]phone|t[eé]l[eé]fono|telefon"
    r"|telefone|telefoon|m[oó]vil|handy|portable|celular|landline|pager)"
)
VERB = r"(?:call|called|calling|ring|dial|text|texting|reach|answering|phoned?|messages?|contact|faxed?)"
NAMED = re.compile(
    rf"(?i)\b{NOUN}(?:[ ]?(?:number|no|nr|num|#))?s?\b[^\w!?\n]{{0,4}}(?:\n[ \t]*)?"
    r"(?:(?:is|at|on|to|was)[:\s]{0,2})?$"
    r"|\b(?:my|his|her|your|our|their) (?:[a-z]{1,12} )?number\b[^.!?\d\n]{0,16}$"
    rf"|\b{NOUN}\b[^.!?\d\n]{{0,24}}[:\s]$"
    rf"|\b{VERB}\b[^.!?\d\n]{{0,30}}\b(?:at|on|to|me|us|him|her|them|number|is)[:\s]{{1,2}}$"
)
"""What stands before a number that may have any form."""
LABELLED = re.compile(rf"(?i)[(\[]?(?:{NOUN}|office|home|work)\b")
BEFORE = 64
"""Characters before a number in which such a word is looked for."""

Spans = Iterator[tuple[int, int]]


def digits(text: str) -> int:
    """How many digits are in `text`."""
    return sum(c.isdigit() for c in text)


def phones(text: str, before: str, after: str) -> Spans:
    """Phone numbers in `text`; `after` is the word behind it."""
    found = [bare(m) for m in PRINTED.finditer(text) if printed(m[0])]
    for match in LOOSE.finditer(text):
        begin, end = bare(match)
        while found and found[0][1] <= begin:
            yield found.pop(0)
        if found and found[0][0] < end:
            continue
        near = (before + text[max(begin - BEFORE, 0) : begin])[-BEFORE:]
        if loose(text[begin:end], near, text[end : end + BEFORE].lstrip() or after):
            yield begin, end
    yield from found


def bare(match: re.Match[str]) -> tuple[int, int]:
    """The span of a match without parentheses around all of it, or without its partner."""
    begin, end = match.span()
    number = match[0]
    if number.endswith(")") and number.find("(", 1) < 0 and (number[0] != "(" or number.find(")") == len(number) - 1):
        end -= 1
    if number.startswith("(") and ")" not in number[: end - begin]:
        begin += 1
    return begin, end


def printed(number: str) -> bool:
    """8 to 15 digits (ITU-T E.164) after a plus or an exchange code, 9 to 12 otherwise; and no date."""
    count = digits(number.partition("x")[0])
    if number.startswith(("+", "(+", "00", "011")):
        return 8 <= count <= 17
    return (8 if number.startswith("(") else 9) <= count <= 12 and not DATE.match(number)


def loose(number: str, near: str, after: str) -> bool:
    """Whether the words around a number make it a phone number."""
    if not 6 <= digits(number) <= 15 or DATE.match(number):
        return False
    alone = not near.rstrip(" \t") or near.rstrip(" \t").endswith("\n")
    grouped = len(re.findall(r"\d+", number)) > 1
    return bool(NAMED.search(near)) or (alone and grouped and bool(LABELLED.match(after)))
