"""Documents that cannot be read, or are none: each is a 4xx that names the file."""

import io
import zipfile
import zlib
from dataclasses import replace
from functools import partial

import pytest
from pypdf import PdfWriter

from app.services import HttpConfig
from rag.read import ReadConfig, read_documents
from rag.types import Document
from tests.app.refusals import APP, CONFIG, DOCUMENTS, check
from tests.app.world import browser, fake_services


@pytest.mark.parametrize("id", ["nothing", "a/b/c", "..%2F..%2Fetc%2Fpasswd", "%00", "x" * 600])
async def test_an_unknown_document(id: str) -> None:
    async with browser(APP) as client:
        response = await client.delete(f"/v1/documents/{id}")
    wrong = id in ("%00", "x" * 600)
    check(response, "invalid_value" if wrong else "document_not_found", "id")
    assert response.status_code == (400 if wrong else 404)


def pdf(encrypted: bool = False) -> bytes:
    writer, out = PdfWriter(), io.BytesIO()
    writer.add_blank_page(72, 72)
    if encrypted:
        writer.encrypt("secret", algorithm="RC4-128")
    writer.write(out)
    return out.getvalue()


def zip_bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.txt", b"0" * 10_000_000)
    return out.getvalue()


def pdf_bomb() -> bytes:
    """A page whose content unpacks to 200 MB."""
    deflate = zlib.compressobj(9)
    packed = b"".join(deflate.compress(b"0" * 1_000_000) for _ in range(200)) + deflate.flush()
    packed = zlib.compress(packed, 9)
    head = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    page = b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>endobj\n"
    stream = b"4 0 obj<</Filter[/FlateDecode/FlateDecode]/Length %d>>stream\n" % len(packed)
    return head + page + stream + packed + b"\nendstream endobj\ntrailer<</Root 1 0 R>>\n%%EOF"


FILES: list[tuple[str, bytes, int, str]] = [
    ("program.exe", b"MZ", 415, "unsupported_media_type"),
    ("noextension", b"text", 415, "unsupported_media_type"),
    ("page.docx", b"PK", 400, "unreadable_document"),
    ("bomb.txt", zip_bomb(), 400, "unreadable_document"),
    ("bomb.zip", zip_bomb(), 415, "unsupported_media_type"),
    ("really.md", pdf(), 400, "unreadable_document"),
    ("really.pdf", b"plain text", 400, "unreadable_document"),
    ("broken.pdf", b"%PDF-1.7 nothing more", 400, "unreadable_document"),
    ("cut.pdf", pdf()[:200], 400, "unreadable_document"),
    ("locked.pdf", pdf(encrypted=True), 400, "unreadable_document"),
    ("blank.pdf", pdf(), 400, "unreadable_document"),
    ("empty.txt", b"", 400, "unreadable_document"),
    ("binary.txt", b"\x00\x01\x02" * 99, 400, "unreadable_document"),
    ("image.txt", b"\x89PNG\r\n\x1a\n", 400, "unreadable_document"),
    ("blank.html", b"<html><body></body></html>", 400, "unreadable_document"),
    ("long.txt", b"word " * 1_000, 413, "too_large"),
]


@pytest.mark.parametrize(("name", "data", "status", "code"), FILES, ids=[file[0] for file in FILES])
async def test_a_file_that_cannot_be_read(name: str, data: bytes, status: int, code: str) -> None:
    limits = ReadConfig(max_chars=CONFIG.max_document_chars)
    services = fake_services(CONFIG, read=partial(read_documents, limits=limits))
    async with browser(services) as client:
        response = await client.post(DOCUMENTS, files={"files": (name, data)})
    check(response, code, "files[0]")
    assert response.status_code == status


async def test_a_pdf_that_unpacks_to_200_mb() -> None:
    config = HttpConfig()
    services = fake_services(config, read=partial(read_documents, limits=ReadConfig()))
    async with browser(services) as client:
        response = await client.post(DOCUMENTS, files={"files": ("bomb.pdf", pdf_bomb())})
    assert response.status_code in (400, 413)
    check(response, response.json()["error"]["code"], "files[0]")


async def test_50_mb_of_text() -> None:
    async with browser(fake_services()) as client:
        response = await client.post(DOCUMENTS, files={"files": ("big.txt", b"word " * 10_000_000)})
    assert response.status_code == 413
    check(response, "too_large", None)


@pytest.mark.parametrize("name", [" a.txt", "x" * 600 + ".txt"])
async def test_a_file_name_that_cannot_be_an_id(name: str) -> None:
    async with browser(fake_services()) as client:
        check(await client.post(DOCUMENTS, files={"files": (name, b"text")}), "invalid_value", "files[0]")


async def test_a_form_with_other_fields_or_none() -> None:
    async with browser(fake_services()) as client:
        other = await client.post(DOCUMENTS, files={"attachment": ("a.txt", b"text")})
        field = await client.post(DOCUMENTS, data={"title": "x"}, files={"files": ("a.txt", b"text")})
        twice = await client.post(DOCUMENTS, files=[("files", ("a.txt", b"1")), ("files", ("a.txt", b"2"))])
        many = await client.post(DOCUMENTS, files=[("files", (f"{n}.txt", b"x")) for n in range(257)])
        broken = await client.post(DOCUMENTS, content=b"x", headers={"Content-Type": "multipart/form-data"})
    check(other, "invalid_value", "attachment")
    check(field, "invalid_value", "title")
    check(twice, "invalid_value", "files[1]")
    check(many, "invalid_request", None)
    check(broken, "invalid_request", None)


UNFIT: list[tuple[bytes, str]] = [
    (b'"url": "javascript:alert(1)"', "'url'"),
    (b'"url": "https://x.test/' + b"x" * 2_000 + b'"', "'url'"),
    (b'"metadata": {"' + b"k" * 65 + b'": "x"}', "'metadata.kkk"),
    (b'"id": "a\\u0000"', "'id'"),
]


@pytest.mark.parametrize(("says", "named"), UNFIT, ids=[named for _, named in UNFIT])
async def test_a_file_says_no_more_of_a_document_than_a_json_body_may(says: bytes, named: str) -> None:
    services = fake_services(read=partial(read_documents, limits=ReadConfig()))
    good, bad = b'{"text": "Hello.", "url": "docs/a.md"}', b'{"text": "Hello.", ' + says + b"}"
    async with browser(services) as client:
        response = await client.post(DOCUMENTS, files=[("files", ("a.json", good)), ("files", ("b.json", bad))])
        assert (await client.get(DOCUMENTS)).json()["data"] == []
    check(response, "invalid_value", "files[1]")
    assert named in response.json()["error"]["message"]


@pytest.mark.parametrize("field", ["id", "text", "title"])
async def test_a_document_that_no_utf_8_can_hold(field: str) -> None:
    half = replace(Document("a", "x"), **{field: "x\ud800"})
    async with browser(fake_services(read=lambda name, data: [half])) as client:
        check(await client.post(DOCUMENTS, files={"files": ("a.json", b"{}")}), "unreadable_document", "files[0]")
