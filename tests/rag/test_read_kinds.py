"""Word files, notebooks, JSON, source code, front matter: what each reader gives, and what it refuses."""

import io
import json
import zipfile

import pytest
from docx import Document as WordFile
from docx.styles.styles import Styles

from rag import read_docx
from rag.chunk import ChunkConfig, chunk
from rag.errors import RaglanError, TooLarge, UnreadableDocument
from rag.read import ReadConfig, read_documents
from rag.types import Document

LIMITS = ReadConfig()


def word() -> bytes:
    file = WordFile()
    file.add_heading("Leave", 1)
    file.add_paragraph("Every employee has 28 days.")
    file.add_paragraph("ask early", style="List Bullet")
    table = file.add_table(1, 2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "days", "28"
    out = io.BytesIO()
    file.save(out)
    return out.getvalue()


def test_a_word_file_becomes_markdown() -> None:
    [document] = read_documents("leave.docx", word(), LIMITS)
    assert document.title == "Leave"
    assert document.text == "# Leave\n\nEvery employee has 28 days.\n\n- ask early\n\n| days | 28 |"


def test_each_paragraph_of_a_word_file_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = 0

    class Counted(str):
        def __len__(self) -> int:
            nonlocal measured
            measured += 1
            return super().__len__()

    monkeypatch.setattr(read_docx, "blocks", lambda found: map(Counted, ["ten chars."] * 1_000))
    assert "text" in read_docx.extract(word(), 10_000)
    assert measured == 1_000
    assert "large" in read_docx.extract(word(), 9_999)


def test_a_style_of_a_word_file_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """python-docx goes through all styles for each: 15,000 paragraphs took the 30 seconds that are allowed."""
    file, found = WordFile(), list[str | None]()
    for n in range(50):
        file.add_paragraph(f"item {n}", style="List Bullet" if n % 2 else None)
    data = io.BytesIO()
    file.save(data)
    search = Styles.get_by_id
    monkeypatch.setattr(Styles, "get_by_id", lambda *given: found.append(given[1]) or search(*given))
    assert read_docx.extract(data.getvalue(), 10_000)["text"].startswith("item 0\n\n- item 1\n\nitem 2")
    assert len(found) <= 2 * len(set(found)) == 4


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * 70_000_000)
    return out.getvalue()


def archive(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(name, "x")
    return out.getvalue()


def damaged(data: bytes) -> bytes:
    """The archive with other bytes in the middle of its longest entry."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        entry = max(file.infolist(), key=lambda one: one.compress_size)
    middle = entry.header_offset + 30 + len(entry.filename) + entry.compress_size // 2
    return data[:middle] + b"\xff" * 16 + data[middle + 16 :]


@pytest.mark.parametrize(
    ("name", "data", "error", "message"),
    [
        ("a.docx", bomb(), TooLarge, "unpacks"),
        ("a.docx", archive("other.txt"), UnreadableDocument, "not a Word file"),
        ("a.docx", b"text", UnreadableDocument, "not a Word file"),
        ("a.docx", damaged(word()), UnreadableDocument, "damaged"),
        ("a.json", b'[{"id": "a", "text": "one"}, {"id": "a", "text": "two"}]', UnreadableDocument, "the id 'a'"),
        ("a.json", json.dumps({"k" * 1_000: [1] * 10_000}).encode(), TooLarge, "paths to them"),
        ("a.jsonl", (json.dumps({"k" * 1_000: [1] * 100}).encode() + b"\n") * 100, TooLarge, "paths to them"),
        ("a.docx", b"\xd0\xcf\x11\xe0old", UnreadableDocument, "old Office"),
        ("a.json", b"{", UnreadableDocument, "broken"),
        ("a.json", b"[" * 100_000 + b"]" * 100_000, UnreadableDocument, "nested too deeply"),
        ("a.json", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, UnreadableDocument, "nested too deeply"),
        ("a.json", b"[]", UnreadableDocument, "no text"),
        ("a.ipynb", b"{}", UnreadableDocument, "no notebook"),
        ("a.py", b"x\x00y", UnreadableDocument, "binary"),
    ],
)
def test_what_cannot_be_read_says_why(name: str, data: bytes, error: type[RaglanError], message: str) -> None:
    with pytest.raises(error, match=message):
        read_documents(name, data, LIMITS)


def test_half_a_surrogate_pair_is_replaced() -> None:
    data = json.dumps({"id": "a\ud800", "text": "bad \ud800", "title": "\udc00", "metadata": {"k": "\ud83d"}}).encode()
    [document] = read_documents("a.json", data, LIMITS)
    assert (document.id, document.text, document.title) == ("a\ufffd", "bad \ufffd", "\ufffd")
    assert document.metadata == {"k": "\ufffd"}


def test_a_notebook_keeps_text_code_and_printed_output() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Guide\n", "Read on."]},
        {"cell_type": "code", "source": "print(1)", "outputs": [{"output_type": "stream", "text": ["1\n"]}]},
        {"cell_type": "code", "source": "", "outputs": []},
        {"cell_type": "code", "source": "2", "outputs": [{"data": {"text/plain": "2", "image/png": "iVBOR"}}]},
    ]
    [document] = read_documents("a.ipynb", json.dumps({"cells": cells, "nbformat": 4}).encode(), LIMITS)
    assert document.title == "Guide"
    assert document.text == "# Guide\nRead on.\n\n```\nprint(1)\n```\n\n```\n1\n```\n\n```\n2\n```\n\n```\n2\n```"


def test_json_records() -> None:
    records = [
        {"_id": "7", "title": "A", "text": "Alpha.", "metadata": {"source": "s", "n": 1}, "tags": ["x", "y"]},
        {"id": 8, "text": "Beta.", "url": "https://example.org/b", "date": "2026-05-01"},
        {"text": "Gamma.", "date": "soon"},
        {"name": "Delta", "ports": [80, 443], "nested": {"on": True, "none": None}},
    ]
    for name, data in (
        ("r.json", json.dumps(records)),
        ("r.jsonl", "\n\n".join(map(json.dumps, records)) + "\n"),
    ):
        found = read_documents(name, data.encode(), LIMITS)
        assert [(d.id, d.title, d.text) for d in found] == [
            ("7", "A", "Alpha."),
            ("8", "r", "Beta."),
            (f"{name}#3", "r", "Gamma."),
            (f"{name}#4", "r", "name: Delta\nports: 80\nports: 443\nnested.on: True"),
        ]
        assert found[0].metadata == {"source": "s", "n": "1", "tags": "x,y"}
        assert (found[1].url, found[1].metadata["date"]) == ("https://example.org/b", "2026-05-01")
        assert found[2].metadata == {}


@pytest.mark.parametrize(
    ("front", "metadata"),
    [
        ("tags: [a, b]\ndate: 2026-05-01", {"tags": "a,b", "date": "2026-05-01"}),
        ("tags: a, b\ndate: '2026-05-01T10:00:00'", {"tags": "a,b", "date": "2026-05-01T10:00:00"}),
        ("tags: 7\ndate: tomorrow", {}),
        ("- no\n- mapping", {}),
        ("broken: [", {}),
        (f"tags: [0x{'f' * 5_000}]", {}),
        ("a: &a {tags: x}\n<<: *a", {}),
        ("a: &a [x]\ntags: *a", {}),
    ],
)
def test_front_matter(front: str, metadata: dict[str, str]) -> None:
    [document] = read_documents("a.md", f"---\n{front}\n---\n# T\n\nText.".encode(), LIMITS)
    assert document.metadata == metadata
    assert document.text == "# T\n\nText."


def test_long_front_matter_is_text() -> None:
    data = f"---\ntags: a\nmore: {'x' * 16_000}\n---\n# T\n\nText.".encode()
    [document] = read_documents("a.md", data, LIMITS)
    assert document.metadata == {}
    assert document.text == data.decode()


def test_lines_of_two_encodings() -> None:
    data = b"\xef\xbb\xbf" + "naïve\n".encode() + "café\n".encode("cp1252") + "日本\n".encode()
    assert read_documents("a.txt", data, LIMITS)[0].text == "naïve\ncafé\n日本\n"


CODE = {
    "a.py": (
        '"""Doc."""\nX = 1\n\n\n@deco\n# why\ndef first(x):\n    return 1\n\n\nclass Second(Base):\n    y = 2\n\n'
        "    def method(self):\n        if x:\n\n            return 2\n",
        [((), ""), (("first",), "#L5"), (("Second",), "#L11")],
    ),
    "a.go": (
        "package main\n\n// Adds.\nfunc (s *Server) Add(a int) int {\n\treturn a\n}\n\ntype T struct {\n\tx int\n}\n",
        [((), ""), (("Add",), "#L3"), (("T",), "#L8")],
    ),
    "a.c": ("#include <x.h>\n\nint foo(int a) {\n    return bar(a);\n}\n", [((), ""), (("foo",), "#L3")]),
    "a.ts": ("export default async function run() {\n}\nexport class A {\n}\n", [(("run",), "#L1"), (("A",), "#L3")]),
    "a.toml": ("[a.b]\nx = 1\n\n[[c]]\ny = 2\n", [(("a.b",), "#L1"), (("c",), "#L4")]),
    "a.sh": ("set -e\n\nstart() {\n  echo x\n}\n", [((), ""), (("start",), "#L3")]),
    "a.yaml": ("a:\n  b: 1\n\nc: 2\n", [((), "")]),
}


@pytest.mark.parametrize("name", CODE)
def test_source_code_is_cut_at_its_definitions(name: str) -> None:
    text, expected = CODE[name]
    passages = chunk(Document(name, text, url=name), ChunkConfig(), lambda part: len(part.split()) + 2)
    assert [(p.headings, p.url.removeprefix(name)) for p in passages] == expected
    assert [p.text for p in passages] == [text[p.start : p.end] for p in passages]
    assert "".join("".join(p.text for p in passages).split()) == "".join(text.split())
