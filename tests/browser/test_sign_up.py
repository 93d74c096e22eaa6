"""The sign-up page in a browser: an address looked at as it is typed, by keyboard, by touch, and without scripts."""

from collections.abc import Iterator

import pytest
import redis
from playwright.sync_api import Page, expect
from pytest_django import Settings

from apps.data.consent.models import OptIn
from apps.surfaces.signups.models import SignUp
from tests.browser.accessibility import overflow, violations
from tests.data.profiles.name_server import name_server
from tests.surfaces.signups.makers import make_form, make_survey

KNOWN = {"gnail.com": {"MX": ["5 mx.gnail.com."]}, "gmail.com": {"MX": ["5 mx.gmail.com."]}}


@pytest.fixture(autouse=True)
def dns(settings: Settings, clean_redis: "redis.Redis") -> Iterator[None]:
    with name_server(KNOWN) as server:
        settings.DNS_SERVERS = [server.address]
        yield


def test_signing_up_by_keyboard_with_the_address_mended_on_the_way(desktop: Page, settings: Settings) -> None:
    settings.SIGN_UP_SECONDS = 0.2
    make_form(survey=make_survey())
    desktop.goto("/sign-up/news?utm_source=letter")
    assert violations(desktop) == []

    desktop.get_by_label("E-mail address").focus()
    desktop.keyboard.type("ada@gnail.com")
    suggestion = desktop.get_by_role("button", name="ada@gmail.com")
    expect(suggestion).to_be_visible()
    assert violations(desktop) == []
    desktop.keyboard.press("Tab")
    expect(suggestion).to_be_focused()
    desktop.keyboard.press("Enter")
    expect(desktop.get_by_label("E-mail address")).to_have_value("ada@gmail.com")
    expect(desktop.get_by_label("E-mail address")).to_be_focused()
    desktop.get_by_role("checkbox", name="News and offers").focus()
    desktop.keyboard.press("Space")
    desktop.get_by_role("button", name="Sign up").focus()
    desktop.keyboard.press("Enter")

    expect(desktop.get_by_role("heading", name="Thank you")).to_be_visible()
    assert violations(desktop) == []
    desktop.get_by_role("link", name="Begin").click()
    expect(desktop.get_by_role("heading", name="What do you like?")).to_be_visible()
    assert violations(desktop) == []
    desktop.get_by_role("button", name="Running").click()
    expect(desktop.get_by_text("That was all.")).to_be_visible()

    made = SignUp.objects.get()
    assert (made.purposes, made.utm_source, made.answers) == (["marketing"], "letter", {"1": "running"})
    assert OptIn.objects.get().profile_id == made.profile_id
    assert desktop.context.cookies() == []


def test_signing_up_without_scripts_in_arabic_on_a_phone(phone_without_scripts: Page, settings: Settings) -> None:
    settings.SIGN_UP_SECONDS = 0.2
    page = phone_without_scripts
    make_form()
    page.goto("/sign-up/news?lang=ar")
    assert overflow(page) == 0
    expect(page.locator("html")).to_have_attribute("dir", "rtl")

    page.locator("#email").fill("ada@gnail.com")
    page.locator("#purpose-marketing").check()
    page.locator(".send button").click()
    expect(page.locator("#purpose-marketing")).to_be_checked()
    page.locator("button[name=use]").click()

    page.wait_for_url("**/thanks**")
    assert SignUp.objects.get().locale == "ar"
