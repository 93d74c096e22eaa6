"""The customers' pages in a browser: phone first, with scripts and without."""

from urllib.parse import urlsplit
from uuid import uuid4

from django.conf import settings
from playwright.sync_api import Page, expect

from apps.data.consent.links import preferences_url, unsubscribe_url
from apps.data.consent.models import ConsentState, Interest, Topic
from apps.data.consent.preferences import preferences_read
from apps.data.profiles.models import Profile
from tests.browser.accessibility import overflow, violations
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
    for _ in range(2 + len(settings.LANGUAGES)):  # past the link to the content, and the languages
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


def test_times_and_interests_by_keyboard_and_their_undo(desktop: Page) -> None:
    Interest.objects.create(code="hiking", name="Hiking")
    profile = make_profile(consent=("marketing",))
    desktop.goto(urlsplit(preferences_url(profile_id=profile.pk, message_id=uuid4())).path)

    hiking = desktop.get_by_role("button", name="Hiking")
    hiking.focus()
    desktop.keyboard.press("Enter")
    expect(hiking).to_have_attribute("aria-pressed", "true")
    expect(hiking).to_be_focused()
    save = desktop.get_by_role("button", name="Save the quiet hours")
    save.focus()
    desktop.keyboard.press("Space")

    expect(desktop.get_by_role("status")).to_have_text("Done: it is quiet from 22:00 to 07:00.")
    expect(save).to_be_focused()
    desktop.get_by_role("button", name="Undo").click()
    expect(desktop.get_by_role("status")).to_have_text("Undone: it is again as it was before.")
    chosen = preferences_read(profile_ids=[profile.pk])[profile.pk]
    assert (chosen.quiet, chosen.interests) == (None, ("hiking",))


def test_page_in_arabic_is_accessible_and_fits_a_narrow_phone(phone: Page) -> None:
    Topic.objects.create(code="offers", name="Offers")
    message = make_message(tier="category", consent=("marketing",))
    phone.set_viewport_size({"width": 320, "height": 700})
    path = urlsplit(preferences_url(profile_id=message.profile_id, message_id=message.pk)).path

    for language in ("ar", "de"):  # from right to left, and with long words
        phone.goto(f"{path}?lang={language}")
        assert phone.evaluate("document.documentElement.scrollWidth") == 320
        assert violations(phone) == []
    phone.set_viewport_size({"width": 640, "height": 700})
    phone.evaluate("document.documentElement.style.fontSize = '200%'")
    assert phone.evaluate("document.documentElement.scrollWidth") == 640


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


def test_ones_rights_on_a_phone(phone: Page) -> None:
    message = make_message()
    phone.goto(urlsplit(preferences_url(profile_id=message.profile_id, message_id=message.pk)).path)
    phone.get_by_role("link", name="Get a copy of your data").tap()
    expect(phone.get_by_role("heading", level=1)).to_have_text("Your data and your rights")
    assert violations(phone) == []
    assert overflow(phone) == 0

    phone.get_by_label("First name").fill("Carla")
    phone.get_by_role("button", name="Save").tap()
    expect(phone.get_by_role("status")).to_contain_text("we know you by what you wrote")
    assert Profile.objects.get(pk=message.profile_id).first_name == "Carla"

    phone.get_by_role("link", name="Erase my data").tap()
    expect(phone.get_by_role("heading", level=1)).to_have_text("Erase all that is known about me?")
    assert violations(phone) == []
    phone.get_by_role("link", name="No, go back").tap()
    expect(phone.get_by_role("heading", level=1)).to_have_text("Your data and your rights")
    assert phone.context.cookies() == []
