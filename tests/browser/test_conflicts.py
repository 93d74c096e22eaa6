"""Two tabs on one block: whoever saves second is shown both, loses nothing, and saves on top."""

from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from apps.decisioning.content import services
from apps.decisioning.content.models import Block, BlockVersion
from apps.foundation.accounts.models import User
from tests.factories import make_market, make_user

from .accessibility import overflow, violations
from .conftest import sign_in

FIELDS: list[dict[str, Any]] = [
    {"name": "headline", "label": "Headline", "kind": "text", "max_length": 60},
    {"name": "words", "label": "Words", "kind": "text", "max_length": 200},
    {"name": "thanks", "label": "Thanks", "kind": "text", "max_length": 60},
]
LAYOUT = """<mj-section><mj-column><mj-text>[[ headline ]]</mj-text><mj-text>[[ words ]]</mj-text>
<mj-text>[[ thanks ]]</mj-text></mj-column></mj-section>"""
SAYS = {"headline": "Teapots are here", "words": "Made by hand.", "thanks": "Thank you"}


@pytest.fixture
def block(reference_data: None) -> Block:
    root = User.objects.create_superuser("root@staff.example", "a long enough password")
    services.brand_create(
        by=root, code="shop", name="Shop", from_name="Shop", from_email="hello@shop.example",
        postal_address="1 Shop Street", shop_url="https://shop.example/", link_hosts=["shop.example"],
    )  # fmt: skip
    kind = services.block_type_create(
        by=root, code="card", name="Card", fields=FIELDS, layout=LAYOUT,
        text_layout="[[ headline ]] [[ words ]] [[ thanks ]]",
    )  # fmt: skip
    return services.block_create(
        by=root, name="Hero: teapots", type_id=kind.pk, content={"en": SAYS}, tags=["hero"],
        market=make_market(languages=["en"]),
    )  # fmt: skip


def opened(page: Page, block: Block) -> Page:
    page.goto(reverse("admin:content_block_change", args=[block.pk]))
    expect(page.locator("[data-state]")).to_have_text("Nothing to mend.")
    return page


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()


@pytest.mark.parametrize("width", ["desktop", pytest.param("phone", marks=pytest.mark.slow)])
def test_the_second_to_save_is_shown_both_and_saves_on_top(
    width: str, block: Block, request: pytest.FixtureRequest
) -> None:
    tab: Page = request.getfixturevalue(width)
    assert block.market is not None
    sign_in(tab, make_user("local_editor", markets=[block.market]))
    first, second = opened(tab.context.new_page(), block), opened(tab, block)
    first.locator("[name=content__en__headline]").fill("Teapots, at last")
    first.locator("[name=content__en__thanks]").fill("Thank you all")
    second.locator("[name=content__en__headline]").fill("Teapots for you")
    second.locator("[name=content__en__words]").fill("Made by hand, in the old mill.")

    save(first)
    expect(first.get_by_text("was changed successfully")).to_be_visible()
    save(second)

    told = second.get_by_role("region", name="Two of you changed this")
    expect(told).to_be_visible()
    both = told.get_by_role("group", name="Headline")
    expect(both).to_contain_text("you both changed it")
    expect(both.locator("pre")).to_have_text(["Teapots are here", "Teapots, at last", "Teapots for you"])
    expect(told.get_by_role("group", name="Words")).to_contain_text("only you changed it")
    expect(told.get_by_role("group", name="Thanks")).to_contain_text("they changed it: taken over")
    headline = second.locator("[name=content__en__headline]")
    expect(headline).to_have_value("Teapots for you")
    expect(second.locator("[name=content__en__words]")).to_have_value("Made by hand, in the old mill.")
    expect(second.locator("[name=content__en__thanks]")).to_have_value("Thank you all")
    assert BlockVersion.objects.count() == 2
    assert overflow(second) == 0
    assert violations(second, within="#conflict") == []

    both.get_by_role("button", name="Take theirs").click()
    expect(headline).to_have_value("Teapots, at last")
    both.get_by_role("button", name="Keep mine").click()
    expect(headline).to_have_value("Teapots for you")
    save(second)

    expect(second.get_by_text("was changed successfully")).to_be_visible()
    newest, before, began = BlockVersion.objects.order_by("-number")
    assert (newest.number, before.number, began.number) == (3, 2, 1)
    assert newest.content["en"] == {
        "headline": "Teapots for you", "words": "Made by hand, in the old mill.", "thanks": "Thank you all",
    }  # fmt: skip
    assert before.content["en"]["headline"] == "Teapots, at last"
