"""The block editor in a browser: what is typed is seen and judged at once, with the keyboard alone too."""

from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from apps.decisioning.content import services
from apps.decisioning.content.models import Block, BlockVersion, Brand, Market
from apps.foundation.accounts.models import User
from tests.factories import make_market, make_user

from .accessibility import overflow, violations
from .conftest import sign_in

LAYOUT = """<mj-section background-url="https://shop.example/paper.png"><mj-column>
<mj-image src="[[ picture ]]" alt="[[ picture.alt ]]" />
<mj-text><h1>[[ headline ]]</h1></mj-text><mj-text>[[ body ]]</mj-text>
<mj-button href="[[ link ]]" background-color="[[ colour ]]" border-radius="4px">[[ button ]]</mj-button>
</mj-column></mj-section>"""
FIELDS: list[dict[str, Any]] = [
    {
        "name": "headline", "label": "Headline", "kind": "text", "max_length": 30,
        "by_language": {"de": {"max_length": 60}},
    },
    {"name": "body", "label": "Text", "kind": "rich_text", "max_length": 200},
    {"name": "picture", "label": "Picture", "kind": "image", "alt_required": True},
    {"name": "button", "label": "Button", "kind": "choice", "choices": ["Look", "Buy"]},
    {"name": "link", "label": "Where it goes", "kind": "link"},
    {"name": "colour", "label": "Colour", "kind": "colour", "fixed": True, "value": "#112233"},
]  # fmt: skip
CONTENT = {
    "headline": "Teapots are here",
    "body": '<p>Dear {{ profile.first_name | fallback("friend") }}, look.</p>',
    "picture": {"url": "https://shop.example/teapot.png", "alt": "A white teapot", "width": 600, "height": 300},
    "button": "Look",
    "link": "https://shop.example/new",
}


@pytest.fixture
def market(reference_data: None) -> Market:
    return make_market(languages=["en", "de"])


@pytest.fixture
def editor(market: Market) -> User:
    return make_user("local_editor", markets=[market])


@pytest.fixture
def block(editor: User, market: Market) -> Block:
    """A block in English, of a type with a field of most kinds."""
    root = User.objects.create_superuser("root@staff.example", "a long enough password")
    services.brand_create(
        by=root, code="shop", name="Shop", from_name="Shop", from_email="hello@shop.example",
        postal_address="1 Shop Street", shop_url="https://shop.example/", link_hosts=["shop.example"],
    )  # fmt: skip
    text = "[[ headline ]]\n[[ body ]]\n[[ button ]]: [[ link ]]"
    kind = services.block_type_create(by=root, code="card", name="Card", fields=FIELDS, layout=LAYOUT, text_layout=text)
    services.persona_create(by=editor, name="Lisa in Vienna", profile={"first_name": "Lisa", "country": "AT"})
    return services.block_create(
        by=root, name="Hero: teapots", type_id=kind.pk, content={"en": CONTENT}, tags=["hero"], market=market
    )


def opened(page: Page, user: User, block: Block) -> Page:
    sign_in(page, user)
    page.goto(reverse("admin:content_block_change", args=[block.pk]))
    expect(page.locator("[data-state]")).to_have_text("Nothing to mend.")
    return page


def look(page: Page) -> Any:
    """The message in the preview."""
    return page.frame_locator("[data-stage] iframe:not(.t-stage-coming)")


def test_typing_shows_at_once_how_it_looks_and_what_is_wrong(desktop: Page, editor: User, block: Block) -> None:
    page = opened(desktop, editor, block)
    expect(look(page).locator("h1")).to_have_text("Teapots are here")
    headline = page.locator("[data-field=content__en__headline]")
    expect(headline.locator(".t-count")).to_have_text("16 / 30")

    headline.locator("input").fill("Teapots & cups, made by hand in the old mill")

    expect(headline.locator(".t-told li")).to_have_text("Has 44 characters, 30 are allowed: shorten it")
    expect(headline.locator("input")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("[data-state]")).to_have_text("One thing to mend.")
    expect(look(page).locator("h1")).to_have_text("Teapots & cups, made by hand in the old mill")

    headline.locator("input").fill("Teapots & cups")
    expect(headline.locator(".t-told li")).to_have_count(0)
    expect(page.locator("[data-state]")).to_have_text("Nothing to mend.")
    page.locator("[data-field=content__en__picture__alt] input").fill("")
    expect(page.locator("[data-field=content__en__picture] .t-told li")).to_contain_text("Needs its alternative text")
    page.locator("[data-field=content__en__picture__alt] input").fill("Two cups")
    expect(page.locator("[data-clients] summary")).to_have_text("One thing that some clients don't show")
    expect(page.locator("[data-clients] li")).to_contain_text("Outlook on Windows shows square corners.")
    expect(page.locator("[data-size] p")).to_contain_text("kB of 102 kB at its largest")
    expect(page.locator(".t-field-locked").first).to_contain_text("#112233")

    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    version = BlockVersion.objects.order_by("-number")[0]
    assert version.content["en"]["headline"] == "Teapots & cups"
    assert version.content["en"]["picture"]["alt"] == "Two cups"


def test_it_is_seen_as_anybody_on_anything(desktop: Page, editor: User, block: Block) -> None:
    page = opened(desktop, editor, block)
    text = look(page).locator("p").first
    expect(text).to_have_text("Dear Anna, look.")
    page.get_by_label("Seen by").select_option(label="Lisa in Vienna")
    expect(text).to_have_text("Dear Lisa, look.")
    page.get_by_label("Seen by").select_option(label="Somebody we know nothing of")
    expect(text).to_have_text("Dear friend, look.")
    page.get_by_label("Seen by").select_option(label="A hostile name")
    expect(text).to_have_text("Dear <script>{{7*7}}</script>, look.")

    frame = page.locator("[data-stage] iframe:not(.t-stage-coming)")
    # A frame just being replaced has no width: it is waited for.
    shown = "document.querySelector('[data-stage] iframe:not(.t-stage-coming)')?.getBoundingClientRect().width ?? 0"
    page.wait_for_function(f"() => {{ const width = {shown}; return 0 < width && width <= 392 }}")
    page.get_by_text("Desktop", exact=True).click()
    expect(page.locator("[data-stage]")).to_have_attribute("data-view", "desktop")
    page.wait_for_function(f"() => {shown} > 450")
    expect(frame).to_have_attribute("sandbox", "")

    page.get_by_label("Images off").check()
    expect(look(page).locator("meta[http-equiv=Content-Security-Policy]")).to_have_count(1)
    page.get_by_label("Dark mode").select_option("inverted")
    expect(page.locator("[data-dark-said]")).to_be_visible()
    expect(look(page).locator("html")).to_have_css("filter", "invert(1) hue-rotate(180deg)")
    page.get_by_label("Dark mode").select_option("own")
    expect(page.locator("[data-note]")).to_contain_text("This has no dark styles of its own")
    page.get_by_text("Plain text", exact=True).click()
    expect(page.locator("[data-stage] pre")).to_contain_text("Look: https://shop.example/new")


def test_one_more_language_is_written_with_limits_of_its_own(desktop: Page, editor: User, block: Block) -> None:
    page = opened(desktop, editor, block)

    page.get_by_label("One more language").select_option("de")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("tab", name="German (de)")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#panel-de .t-language-note")).to_have_text(
        "Nothing is written. People who speak it get English (en)."
    )
    page.locator("[name=content__de__headline]").fill("Teekannen und Tassen, in der alten Mühle gemacht")
    expect(page.locator("[data-field=content__de__headline] .t-count")).to_have_text("48 / 60")
    expect(page.locator("[data-state]")).to_have_text("4 fields are still to be written.")
    expect(page.get_by_role("tab", name="German (de)")).to_contain_text("1/5")
    page.locator("[name=content__de__body]").fill("<p>Sieh selbst.</p>")
    page.locator("[name=content__de__picture]").fill("https://shop.example/teapot.png")
    page.locator("[name=content__de__picture__alt]").fill("Eine Teekanne")
    page.locator("[name=content__de__button]").select_option("Look")
    page.locator("[name=content__de__link]").fill("https://shop.example/neu")
    expect(page.locator("[data-state]")).to_have_text("Nothing to mend.")
    expect(look(page).locator("h1")).to_have_text("Teekannen und Tassen, in der alten Mühle gemacht")

    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    assert set(BlockVersion.objects.order_by("-number")[0].content) == {"en", "de"}


def test_a_preview_that_fails_loses_nothing(desktop: Page, editor: User, block: Block) -> None:
    page = opened(desktop, editor, block)
    page.route("**/preview/**", lambda route: route.abort())

    page.locator("[name=content__en__headline]").fill("Kept")

    expect(page.locator("[data-state]")).to_contain_text("What you wrote is kept")
    expect(page.locator("[name=content__en__headline]")).to_have_value("Kept")
    page.unroute("**/preview/**")
    page.locator("[name=content__en__headline]").fill("Kept, and shown")
    expect(look(page).locator("h1")).to_have_text("Kept, and shown")


def test_with_the_keyboard_alone(desktop: Page, editor: User, block: Block) -> None:
    page = opened(desktop, editor, block)

    page.get_by_role("tab", name="English").focus()
    page.keyboard.press("Tab")
    expect(page.locator("[name=content__en__headline]")).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.type("Typed" * 10)
    expect(page.locator("[data-problems] button")).to_have_text("Headline")
    page.locator("[data-problems] button").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[name=content__en__headline]")).to_be_focused()
    page.get_by_label("Phone").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-stage]")).to_have_attribute("data-view", "desktop")


@pytest.mark.parametrize("width", ["phone", pytest.param("desktop", marks=pytest.mark.slow)])
def test_nothing_stands_in_anybodys_way(width: str, editor: User, block: Block, request: pytest.FixtureRequest) -> None:
    page = opened(request.getfixturevalue(width), editor, block)
    page.locator("[name=content__en__headline]").fill("Too long for this field, by quite some words")
    expect(page.locator("[data-field=content__en__headline] .t-told li")).to_have_count(1)
    assert overflow(page) == 0
    assert violations(page, within="#content-main") == []

    if width == "phone":
        page.locator("[data-show=look]").click()
        expect(page.locator("[data-stage] iframe")).to_be_visible()
        expect(page.locator("[name=content__en__headline]")).to_be_hidden()
        assert overflow(page) == 0
        assert violations(page, within="#content-main") == []
        page.locator("[data-show=write]").click()
        expect(page.locator("[name=content__en__headline]")).to_be_visible()


def test_the_page_says_what_the_brand_allows(desktop: Page, editor: User, block: Block) -> None:
    assert Brand.objects.count() == 1
    page = opened(desktop, editor, block)

    page.locator("[name=content__en__link]").fill("https://elsewhere.example/")

    expect(page.locator("[data-problems]")).to_contain_text(
        "goes to elsewhere.example, which the brand does not allow", ignore_case=True
    )
