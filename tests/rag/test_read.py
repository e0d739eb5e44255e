"""Files to documents: what each reader gives, and what it refuses by name of the reason."""

import io
import json
import time
import zlib
from contextlib import suppress

import pytest
from pypdf import PdfReader, PdfWriter

from rag.errors import RaglanError, TooLarge, UnreadableDocument, UnsupportedMedia
from rag.read import ReadConfig, read_file
from rag.sentences import sentences

LIMITS = ReadConfig()
HTML = """<!doctype html><html><head><title> The  guide </title><style>p{color:red}</style></head><body>
<nav>Home | About</nav><h1>Guide</h1><p>First&nbsp;words &amp; <code>code</code>.<br>Next line</p>
<script>alert("x")</script><ul><li>one</li><li>two</li></ul>
<pre>def f():
    return 1</pre><table><tr><th>field</th><th>default</th></tr><tr><td>a</td><td>1</td></tr></table></body></html>"""


def pdf(*contents: bytes, title: str = "", deflated: bool = False) -> bytes:
    """A PDF with one page for each content stream."""
    count = len(contents)
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(count))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for n, content in enumerate(contents):
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * n} 0 R "
        objects.append(f"{page}/Resources << /Font << /F1 3 0 R >> >> >>".encode())
        kind = b" /Filter /FlateDecode" if deflated else b""
        objects.append(b"<< /Length %d%s >>\nstream\n%s\nendstream" % (len(content), kind, content))
    objects.append(f"<< /Title ({title}) >>".encode())
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    tail = b"trailer << /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF" % (size, size - 1, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n%s%s" % (size, table, tail)


def line(text: str) -> bytes:
    return f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()


def test_markdown_keeps_its_text_and_takes_its_first_heading() -> None:
    document = read_file("docs/a.md", b"---\nx: 1\n---\n\n# The *title*\r\n\r\nText.\n", LIMITS)
    assert (document.id, document.title) == ("docs/a.md", "The *title*")
    assert document.text == "\n# The *title*\n\nText.\n"


@pytest.mark.parametrize(
    ("name", "data", "title"),
    [
        ("a.rst", b"=====\nGuide\n=====\n\nText.", "Guide"),
        ("notes.txt", b"# not a heading", "notes"),
        ("b.md", b"no heading", "b"),
        ("c.MD", "\ufeff# Ünïcode".encode(), "Ünïcode"),
        ("d.txt", "naïve café".encode("cp1252"), "d"),
        ("e.txt", "wide".encode("utf-16"), "e"),
    ],
)
def test_text_files(name: str, data: bytes, title: str) -> None:
    document = read_file(name, data, LIMITS)
    assert document.title == title
    assert "\ufeff" not in document.text
    assert "\ufffd" not in document.text


def test_html_becomes_markdown() -> None:
    document = read_file("page.html", HTML.encode(), LIMITS)
    assert document.title == "The guide"
    assert document.text == (
        "# Guide\n\nFirst words & `code`.\nNext line\n\n- one\n- two\n\n"
        "```\ndef f():\n    return 1\n```\n\n| field | default |\n| a | 1 |"
    )


def test_deeply_nested_html() -> None:
    data = b"<div>" * 100_000 + b"bottom" + b"</div>" * 100_000
    assert read_file("deep.html", data, LIMITS).text == "bottom"


@pytest.mark.timeout(60)
def test_a_title_of_many_pieces() -> None:
    """The pieces were added one by one, in minutes."""
    data = b"<title>" + b"&lt;" * 1_900_000 + b"</title><p>Text.</p>"
    assert read_file("a.html", data, LIMITS).title == "<" * 200


def test_an_icons_title_is_not_the_pages() -> None:
    data = b"<title>Prices</title><p>1 a day</p><svg><title>Close icon</title></svg><p>Cheap</p>"
    assert read_file("a.html", data, LIMITS).title == "Prices"


LONG = 200_000


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        *("<a b='" * LONG, "<p " * LONG, "<!--" * LONG, "</a" * LONG, "<pre>" + " " * LONG + "x"),
        *("# a" + " " * LONG + "b", "# " + "[" * LONG, "# " + "[a](" * LONG, "# x" + "#" * LONG + "y"),
        *(" " * LONG + "---" + " " * LONG + "x", "- " + " " * LONG, "---" * LONG + "x", "`" * LONG + "x"),
    ],
    ids=lambda text: text.strip()[:6],
)
def test_no_line_takes_time_that_grows_faster_than_it(text: str) -> None:
    """Where it did, this would take minutes or days."""
    for kind in ("a.html", "a.md"):
        with suppress(UnreadableDocument):
            sentences(read_file(kind, text.encode(), LIMITS).text)
    cells = [{"cell_type": "code", "source": text}]
    assert read_file("a.ipynb", json.dumps({"cells": cells}).encode(), LIMITS).text


def test_marks_that_close_a_heading_are_none_of_it() -> None:
    titles = {"# Guide ##": "Guide", "# Using C#": "Using C#", "## [Guide](a_(b).md) #  ": "Guide"}
    for line_, title in titles.items():
        assert read_file("a.md", f"{line_}\n\nText.".encode(), LIMITS).title == title


@pytest.mark.parametrize(
    "front",
    [
        "a: &a [x, x, x]\nb: &b [*a, *a, *a]\ntags: [*b, *b, ok]",
        *("tags: !!bool foo", "date: !!timestamp foo", "tags: !!int ''", "tags: {}"),
    ],
)
def test_front_matter_holds_small_tags_or_none(front: str) -> None:
    document = read_file("a.md", f"---\n{front}\n---\n# Title\n".encode(), LIMITS)
    assert document.metadata in ({}, {"tags": "ok"})


def test_pdf_text_and_title() -> None:
    document = read_file("paper.pdf", pdf(line("Page one."), line("Page two."), title="A paper"), LIMITS)
    assert (document.title, document.text) == ("A paper", "Page one.\n\nPage two.")
    assert read_file("paper.pdf", pdf(line("x")), LIMITS).title == "paper"


def encrypted() -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf(line("secret")))))
    writer.encrypt("password", algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "error", "message"),
    [
        ("a.exe", b"MZ", UnsupportedMedia, r"\.exe"),
        ("a", b"text", UnsupportedMedia, "cannot be read"),
        ("a.txt", b"", UnreadableDocument, "empty"),
        ("a.html", b"<p> </p>", UnreadableDocument, "no text"),
        ("a.txt", b"%PDF-1.4", UnreadableDocument, r"named \.txt but is a PDF"),
        ("a.pdf", b"PK\x03\x04rest", UnreadableDocument, r"named \.pdf but is a ZIP"),
        ("a.md", b"\x89PNG\r\n", UnreadableDocument, "PNG"),
        ("a.txt", bytes(range(256)) * 4, UnreadableDocument, "binary"),
        ("a.pdf", b"just text", UnreadableDocument, "damaged"),
        ("a.pdf", pdf(line("x"))[:60], UnreadableDocument, "damaged"),
        ("a.pdf", pdf(b"0 0 m"), UnreadableDocument, "no text layer"),
        ("a.pdf", encrypted(), UnreadableDocument, "encrypted"),
    ],
)
def test_what_cannot_be_read_says_why(name: str, data: bytes, error: type[RaglanError], message: str) -> None:
    with pytest.raises(error, match=message) as raised:
        read_file(name, data, LIMITS)
    assert raised.value.param == "file"


@pytest.mark.parametrize(
    ("name", "data", "limits"),
    [
        ("a.txt", b"x" * 11, ReadConfig(max_bytes=10)),
        ("a.txt", b"x" * 11, ReadConfig(max_chars=10)),
        ("a.pdf", pdf(*[line("x")] * 3), ReadConfig(max_pages=2)),
        ("a.pdf", pdf(line("long text"), line("long text")), ReadConfig(max_chars=10)),
        ("a.pdf", pdf(zlib.compress(b" " * 80_000_000), deflated=True), LIMITS),
    ],
)
def test_what_is_too_large_is_refused(name: str, data: bytes, limits: ReadConfig) -> None:
    with pytest.raises(TooLarge):
        read_file(name, data, limits)


def test_a_pdf_that_takes_for_ever_is_given_up() -> None:
    slow = pdf(zlib.compress(line("x") * 1_500_000), deflated=True)
    begin = time.perf_counter()
    with pytest.raises(TooLarge, match=r"too much|longer"):
        read_file("slow.pdf", slow, ReadConfig(pdf_seconds=1))
    assert time.perf_counter() - begin < 20
