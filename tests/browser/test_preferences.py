"""The customers' pages in a browser: phone first, with scripts and without."""

from urllib.parse import urlsplit
from uuid import UUID, uuid4

from django.conf import settings
from playwright.sync_api import Page, expect

from apps.data.consent.links import LinkScope, link_url, preferences_url, unsubscribe_url
from apps.data.consent.models import ConsentState, Interest, Topic
from apps.data.consent.preferences import preferences_read
from apps.data.privacy.models import AddressChange
from apps.data.profiles.models import Profile
from apps.decisioning.playbooks.models import MailWant
from apps.foundation.core.clock import now
from tests.browser.accessibility import overflow, violations
from tests.factories import make_digest, make_profile, make_system_mail
from tests.surfaces.ledger import make_decision, make_message, make_run


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
    expect(desktop.get_by_role("switch", name="News and offers")).to_be_visible()
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


def test_how_often_is_chosen_on_a_phone_with_and_without_scripts(phone: Page, phone_without_scripts: Page) -> None:
    make_digest()
    for page in (phone, phone_without_scripts):
        profile = make_profile(consent=("marketing",))
        page.goto(urlsplit(preferences_url(profile_id=profile.pk, message_id=uuid4())).path)
        often = page.get_by_label("How often “News and offers” comes")

        often.select_option("weekly")
        page.get_by_role("button", name="Save how often").click()

        expect(page.get_by_role("status")).to_have_text("Done: they come collected, once a week.")
        expect(often).to_have_value("weekly")
        assert preferences_read(profile_ids=[profile.pk])[profile.pk].frequency == "weekly"
        if page is phone:
            assert (violations(page), overflow(page)) == ([], 0)

        page.get_by_role("button", name="Undo").click()

        expect(often).to_have_value("each")
        assert preferences_read(profile_ids=[profile.pk])[profile.pk].frequency == "each"


def _mail_about(kind: str, key: str, profile: Profile) -> UUID:
    """A system mail that somebody got."""
    decision = make_decision(run=make_run(), profile=profile)
    carried = {"run": decision.run, "settled_at": now()}
    MailWant.objects.update_or_create(kind=kind, profile=profile, key=key, defaults=carried)
    return decision.pk


def test_a_new_address_is_asked_for_confirmed_and_taken_back_on_a_phone(phone: Page) -> None:
    for code in ("system_link", "system_address", "system_moved"):
        make_system_mail(code)
    fresh = make_message()
    person = fresh.profile
    MailWant.objects.create(kind="link", profile=person, key="asked:1", run_id=fresh.dispatch.run_id, settled_at=now())
    phone.goto(urlsplit(preferences_url(profile_id=person.pk, message_id=fresh.pk)).path + "/data")
    phone.get_by_label("New e-mail address").fill("new@example.org")
    assert (violations(phone), overflow(phone)) == ([], 0)
    phone.get_by_role("button", name="Write to the new address").click()
    expect(phone.get_by_role("status")).to_contain_text("we wrote to the new address")

    change = AddressChange.objects.get()
    for scope, kind, button, heading in (
        (LinkScope.NEW_ADDRESS, "address", "Yes, use this address", "Thank you, that is confirmed"),
        (LinkScope.TAKE_BACK, "moved", "It was not me: take it back", "Taken back"),
    ):
        message_id = _mail_about(kind, str(change.pk), person)
        phone.goto(urlsplit(link_url(scope, profile_id=person.pk, message_id=message_id)).path)
        assert (violations(phone), overflow(phone)) == ([], 0)
        phone.get_by_role("button", name=button).click()
        expect(phone.get_by_role("heading", level=1)).to_have_text(heading)
        assert violations(phone) == []
