"""The fields of a block type as rows, and the question before a change breaks blocks."""

from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from apps.decisioning.content.models import Block, BlockType
from apps.foundation.accounts.models import User
from tests.factories import make_user

from .accessibility import overflow, violations
from .conftest import sign_in
from .test_block_editor import block, editor, market

__all__ = ["block", "editor", "market"]


@pytest.fixture
def kind(block: Block) -> BlockType:
    return block.type


def row(page: Page, number: int) -> Any:
    return page.locator(".t-builder-row").nth(number - 1)


@pytest.mark.parametrize("width", ["phone", pytest.param("desktop", marks=pytest.mark.slow)])
def test_fields_are_added_moved_and_limited_as_rows(
    width: str, kind: BlockType, request: pytest.FixtureRequest
) -> None:
    page: Page = request.getfixturevalue(width)
    sign_in(page, make_user("engineer"))
    page.goto(reverse("admin:content_blocktype_change", args=[kind.pk]))
    expect(page.locator(".t-builder-row")).to_have_count(6)
    expect(page.locator("#id_fields")).to_be_hidden()
    assert overflow(page) == 0
    assert violations(page, within=".t-builder") == []

    page.get_by_role("button", name="Add a field").focus()
    page.keyboard.press("Enter")
    expect(row(page, 7).get_by_label("Label", exact=True)).to_be_focused()
    page.keyboard.type("Small print")
    page.keyboard.press("Tab")
    expect(row(page, 7).get_by_label("Name", exact=True)).to_have_value("small_print")
    row(page, 7).get_by_label("At most so many characters").fill("40")
    row(page, 7).get_by_label("Must be filled in").uncheck()
    row(page, 7).get_by_text("Other limits in some languages").click()
    row(page, 7).get_by_label("Language, such as de or de-AT").fill("de")
    row(page, 7).get_by_role("button", name="Add this language").click()
    row(page, 7).locator(".t-builder-language").get_by_label("At most so many characters").fill("60")
    page.get_by_role("button", name="Move up: Small print").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".t-builder [data-said]")).to_have_text("Small print is now field 6 of 7")
    expect(row(page, 6).get_by_role("button", name="Move up: Small print")).to_be_focused()
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_text("was changed successfully")).to_be_visible()
    kind.refresh_from_db()
    assert kind.fields[5] == {
        "name": "small_print", "label": "Small print", "kind": "text", "max_length": 40, "required": False,
        "by_language": {"de": {"max_length": 60}},
    }  # fmt: skip


@pytest.mark.parametrize("width", ["desktop", pytest.param("phone", marks=pytest.mark.slow)])
def test_a_change_that_breaks_blocks_is_asked_about(
    width: str, kind: BlockType, block: Block, editor: User, request: pytest.FixtureRequest
) -> None:
    page: Page = request.getfixturevalue(width)
    sign_in(page, make_user("engineer"))
    page.goto(reverse("admin:content_blocktype_change", args=[kind.pk]))
    row(page, 1).get_by_label("At most so many characters").first.fill("5")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_role("heading", name="This change would break one block")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text("Has 16 characters, 5 are allowed")
    assert overflow(page) == 0
    assert violations(page, within="#content") == []
    kind.refresh_from_db()
    assert kind.fields[0]["max_length"] == 30

    page.get_by_role("button", name="Back, and don't save").click()
    expect(row(page, 1).get_by_label("At most so many characters").first).to_have_value("5")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Save it and break them").click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    kind.refresh_from_db()
    assert kind.fields[0]["max_length"] == 5
    assert block.versions.get().fields[0]["max_length"] == 30
