"""Links, images and HTML in an answer that no source holds: a front end fetches an image and shows HTML unasked."""

import html
import re
from collections import deque
from collections.abc import Iterator, Sequence

TOKEN = re.compile(
    r"\\.|!?\[|\](?:\(\s*<(?P<angled>[^<>\n]*)"
    r"|\(\s*(?P<bare>[^\s<>()]+(?:\([^\s<>()]*\)[^\s<>()]*)*)"
    r"|:\s{0,9}<?(?P<defined>[^\s<>]+))?"
)
"""What opens and closes a Markdown link or image, with its target; `defined` is what `[name]: target` defines."""
TAG = re.compile(
    r"<(?:a|audio|base|embed|form|iframe|image|img|input|link|meta|object|script|source|svg|video)"
    r"(?=[\s/>\"'])(?:[^<>\"']|\"[^\"]*\"|'[^']*')*>?",
    re.IGNORECASE,
)
ATTRIBUTE = re.compile(r"[\w-]\s*=(?!=)")
"""What makes a tag more than a placeholder such as `<source>`."""
SCRIPT_END = re.compile(r"</script", re.IGNORECASE)
SCRIPT = 80
"""Characters before a script's end that a source must hold too."""
ADDRESS = re.compile(r"\bhttps?://[^\s<>\[\]\"'`|*]+|<(?:javascript|vbscript|data):[^\s<>]*", re.IGNORECASE)
"""A bare address, or an unsafe one in angle brackets."""
UNSAFE = re.compile(r"(?:^<?|=[\"']?)(?:javascript|vbscript|data):")
INDENT = 40
"""Characters before a definition that tell whether it begins its line."""
MAX_OPEN = 100
"""Latest brackets that are remembered; what closes an older one counts as an image."""


def unknown(text: str, since: int, sources: Sequence[str]) -> set[str]:
    """The kinds of what ends behind the character `since` of `text` and stands word for word in no source.

    `image` and `tag` are fetched or shown unasked, `reference` may be an image's, a `link` waits for a click. `unsafe`
    is a target that is a program or carries its content, also where a source holds it.
    """
    found = {(kind, " ".join(what.split())) for kind, what, end in (*marks(text), *tags(text)) if end > since}
    held = [" ".join(source.split()) for source in sources] if found else []
    kinds = {kind for kind, what in found if not any(what in source for source in held)}
    return kinds | {"unsafe" for _, what in found if unsafe(what)}


def unsafe(target: str) -> bool:
    """Whether a target, or one of a tag's, names a scheme that no answer needs; entities and escapes hide none."""
    return UNSAFE.search("".join(html.unescape(target).replace("\\", "").split()).lower()) is not None


def marks(text: str) -> Iterator[tuple[str, str, int]]:
    """Markdown's images, links and definitions: kind, target and end."""
    opened = deque[tuple[int, bool]](maxlen=MAX_OPEN)
    for match in TOKEN.finditer(text):
        if match[0].endswith("["):
            opened.append((match.start(), match[0] == "!["))
        elif match[0].startswith("]"):
            image = not opened or any(is_image for _, is_image in opened)
            begin = opened.pop()[0] if opened else 0
            target = match["angled"] or match["bare"]
            if target and (image or "/" in target or ":" in target):
                yield "image" if image else "link", target, match.end()
            named = match["defined"]
            if named and ("//" in html.unescape(named) or unsafe(named)) and starts_line(text, begin):
                yield "reference", named, match.end()


def starts_line(text: str, at: int) -> bool:
    """Whether only a list's or a quotation's signs stand before `at` on its line."""
    near = text[max(at - INDENT, 0) : at]
    return not near.rpartition("\n")[2].strip(" \t>*+-.0123456789")


def tags(text: str) -> Iterator[tuple[str, str, int]]:
    """HTML that fetches, runs or leads elsewhere, and bare addresses: kind, text and end."""
    for match in TAG.finditer(text):
        if ATTRIBUTE.search(match[0]):
            yield "tag", match[0], match.end()
    for match in SCRIPT_END.finditer(text):
        near = text[max(match.start() - SCRIPT, 0) : match.end()]
        yield "tag", near[max(near.lower().rfind("<script"), 0) :], match.end()
    for match in ADDRESS.finditer(text):
        yield "link", match[0].rstrip(".,;:!?)") if match[0][0] != "<" else match[0], match.end()
