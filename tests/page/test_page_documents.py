"""The chat page's documents: added, listed, dropped, removed."""

import pytest
from playwright.sync_api import expect

from tests.page.chromium import Watched
from tests.page.conftest import Site

pytestmark = pytest.mark.browser


def test_a_document_that_cannot_be_removed_is_told(desk: Watched, site: Site) -> None:
    page = desk.page
    page.get_by_role("button", name="Documents").click()
    page.get_by_role("button", name="Remove Autoscaling").click()
    site.services.library.passages.clear()
    page.get_by_role("button", name="Remove", exact=True).click()
    row = page.get_by_role("list", name="Stored documents").get_by_role("listitem").first
    expect(row.get_by_role("status")).to_have_text("Not removed: There is no document with this id.")
    expect(row.get_by_role("button", name="Remove Autoscaling")).to_be_focused()


def test_documents_are_added_listed_and_removed(desk: Watched, site: Site) -> None:
    page = desk.page
    page.get_by_role("button", name="Documents").click()
    listed = page.get_by_role("list", name="Stored documents")
    expect(listed.get_by_role("listitem")).to_have_count(2)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add documents").press("Enter")
    text = b"Canaries sing.\n\nThey also fly."
    notes = {"name": "notes.txt", "mimeType": "text/plain", "buffer": text}
    sheet = {"name": "budget.xls", "mimeType": "application/vnd.ms-excel", "buffer": b"\0"}
    chooser.value.set_files([notes, sheet])
    uploads = page.get_by_role("list", name="Uploads")
    expect(uploads).to_contain_text("Searchable now, 2 passages")
    expect(uploads.locator(".wrong")).to_have_count(1)
    expect(listed.get_by_role("listitem")).to_have_count(3)
    assert [d.id for d in site.services.ingestor.added] == ["notes.txt"]
    desk.shoot("light-documents")

    page.get_by_role("button", name="Remove notes.txt").click()
    expect(page.get_by_role("button", name="Keep")).to_be_focused()
    page.get_by_role("button", name="Keep").click()
    expect(listed.get_by_role("listitem")).to_have_count(3)
    page.get_by_role("button", name="Remove Autoscaling").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(listed.get_by_role("listitem")).to_have_count(2)
    expect(listed).not_to_contain_text("Autoscaling")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_files_can_be_dropped_anywhere(desk: Watched, site: Site) -> None:
    page = desk.page
    transfer = page.evaluate_handle(
        "() => { const t = new DataTransfer(); t.items.add(new File(['Gulls cry.'], 'gulls.txt')); return t; }"
    )
    page.dispatch_event("main", "dragenter", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_be_visible()
    page.dispatch_event("main", "drop", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_be_hidden()
    expect(page.get_by_role("list", name="Uploads")).to_contain_text("Searchable now, 1 passage")
    assert [d.id for d in site.services.ingestor.added] == ["gulls.txt"]
