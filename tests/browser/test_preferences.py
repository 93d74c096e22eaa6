"""The customers' pages in a browser: phone first, with scripts and without."""

from urllib.parse import urlsplit
from uuid import uuid4

from playwright.sync_api import Page, expect

from apps.data.consent.links import preferences_url, unsubscribe_url
from apps.data.consent.models import ConsentState
from apps.data.profiles.models import Profile
from tests.browser.accessibility import violations
from tests.factories import make_profile
from tests.surfaces.ledger import make_message


def on(profile: Profile) -> set[str]:
    return set(ConsentState.objects.filter(profile=profile, granted=True).values_list("purpose_id", flat=True))


def test_choices_on_a_phone(phone: Page) -> None:
    message = make_message(tier="category", consent=("marketing", "personalisation"))
    profile = message.profile
    phone.goto(urlsplit(preferences_url(profile_id=profile.pk, message_id=message.pk)).path)
    news = phone.get_by_role("switch", name="News and offers")
    expect(news).to_have_attribute("aria-checked", "true")
    assert violations(phone) == []

    news.tap()

    expect(phone.get_by_role("status")).to_have_text("Done: News and offers is off from now on.")
    expect(news).to_have_attribute("aria-checked", "false")
    assert on(profile) == {"personalisation"}
    assert "done=" not in phone.url  # it was changed in the page
    assert violations(phone) == []

    phone.get_by_role("button", name="Undo").tap()

    expect(news).to_have_attribute("aria-checked", "true")
    assert on(profile) == {"marketing", "personalisation"}

    phone.get_by_role("button", name="Leave everything").tap()

    expect(phone.get_by_role("status")).to_contain_text("you left everything")
    assert on(profile) == set()
    assert phone.context.cookies() == []


def test_choices_by_keyboard_alone(desktop: Page) -> None:
    profile = make_profile(consent=("marketing",))
    desktop.goto(urlsplit(preferences_url(profile_id=profile.pk, message_id=uuid4())).path)
    for _ in range(2):  # past the link to the content
        desktop.keyboard.press("Tab")
    news = desktop.get_by_role("switch", name="News and offers")
    expect(news).to_be_focused()

    desktop.keyboard.press("Space")

    expect(news).to_have_attribute("aria-checked", "false")
    expect(news).to_be_focused()
    assert on(profile) == set()
    assert violations(desktop) == []


def test_choices_without_scripts(phone_without_scripts: Page) -> None:
    page, profile = phone_without_scripts, make_profile(consent=("marketing",))
    page.goto(urlsplit(preferences_url(profile_id=profile.pk, message_id=uuid4())).path)

    page.get_by_role("switch", name="News and offers").click()

    expect(page.get_by_role("status")).to_have_text("Done: News and offers is off from now on.")
    assert on(profile) == set()

    page.get_by_role("button", name="Undo").click()

    expect(page.get_by_role("switch", name="News and offers")).to_have_attribute("aria-checked", "true")
    assert on(profile) == {"marketing"}


def test_choice_that_does_not_get_through_says_so(phone: Page) -> None:
    profile = make_profile(consent=("marketing",))
    phone.goto(urlsplit(preferences_url(profile_id=profile.pk, message_id=uuid4())).path)
    phone.route("**/p/*", lambda route: route.abort())

    phone.get_by_role("switch", name="News and offers").tap()

    expect(phone.get_by_role("status")).to_contain_text("nothing was changed")
    assert on(profile) == {"marketing"}


def test_unsubscribing_by_the_page(phone: Page) -> None:
    profile = make_profile(consent=("marketing",))
    phone.goto(urlsplit(unsubscribe_url(profile_id=profile.pk, message_id=uuid4())).path)
    assert on(profile) == {"marketing"}
    assert violations(phone) == []

    phone.get_by_role("button", name="Unsubscribe").tap()

    expect(phone.get_by_role("heading", name="You are unsubscribed")).to_be_visible()
    assert on(profile) == set()
    assert violations(phone) == []

    phone.get_by_role("button", name="Undo: keep it after all").tap()

    expect(phone.get_by_role("status")).to_have_text("Done: News and offers is on from now on.")
    assert on(profile) == {"marketing"}


def test_bad_link_is_friendly(phone: Page) -> None:
    phone.goto("/p/k1.forged")

    expect(phone.get_by_role("heading", name="This link does not work")).to_be_visible()
    assert violations(phone) == []
