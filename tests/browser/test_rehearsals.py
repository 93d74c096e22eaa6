"""Dry runs and tests in the browser: by the keyboard alone, on a phone, live while they move, and for everybody."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings

from apps.decisioning.playbooks.services import playbook_submit
from apps.surfaces.console.dry_runs import dry_run_go, dry_run_start
from apps.surfaces.console.models import DryRun, TestSend
from apps.surfaces.console.own_tests import own_test_hand_over
from tests.delivery.relay import Relay
from tests.factories import make_playbook, make_profile, make_user

from .accessibility import overflow, violations
from .conftest import DESKTOP, PHONE, sign_in


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test is the worker."""
    monkeypatch.setattr("apps.surfaces.console.receivers.enqueue_on_commit", lambda *args: None)


@pytest.fixture
def relay(settings: Settings) -> Iterator[Relay]:
    one = Relay()
    one.start()
    settings.SMTP_URL = f"smtp://127.0.0.1:{one.port}?timeout=10"
    yield one
    one.stop()


def _people() -> None:
    for number in range(6):
        make_profile(consent=("marketing",), first_name=f"Carla {number}", country="DE", language="de")
    make_profile(consent=("marketing",))
    make_profile()


def test_a_dry_run_from_the_playbooks_page_to_a_test_in_the_inbox(desktop: Page, whole_site: str, relay: Relay) -> None:
    _people()
    playbook = make_playbook()
    sign_in(desktop, make_user(email="me@staff.example"))

    # a dry run by the playbook's own button
    desktop.goto(f"{whole_site}/admin/playbooks/playbook/{playbook.pk}/change/")
    desktop.get_by_role("link", name="Dry run").first.click()
    desktop.get_by_role("button", name="Dry run of the draft").click()
    expect(desktop.get_by_text("Counting who is in the audience")).to_be_visible()

    # it moves by itself while a worker is at it
    dry_run_go(dry_run_id=DryRun.objects.get().pk)
    expect(desktop.get_by_role("heading", name="People to look at")).to_be_visible()
    expect(desktop.locator("#dry-run-said")).to_have_text("Done")

    # page through samples by the keyboard
    desktop.get_by_role("link", name="Hero: German speaking").first.focus()
    desktop.keyboard.press("Enter")
    expect(desktop.frame_locator("iframe").get_by_text("Hello Carla")).to_be_visible()
    desktop.get_by_role("link", name="Next").focus()
    desktop.keyboard.press("Enter")
    expect(desktop.get_by_text("Sample 2 of 8").first).to_be_visible()

    # and have one sent to oneself
    desktop.get_by_role("link", name="Send me this one").click()
    expect(desktop.get_by_label("A real person")).to_be_checked()
    desktop.get_by_role("button", name="Send it to me").click()
    expect(desktop.get_by_text("It waits for a sender")).to_be_visible()
    own_test_hand_over(test_send_id=TestSend.objects.get().pk)
    expect(desktop.get_by_text("The mail server took it.")).to_be_visible()
    assert relay.recipients() == {"me@staff.example": 1}


@pytest.mark.parametrize("part", ["filled", "empty"])
def test_pages_pass_axe_and_fit_a_phone(desktop: Page, part: str) -> None:
    playbook = make_playbook()
    addresses = [f"/console/playbooks/{playbook.pk}/dry-runs/", f"/console/playbooks/{playbook.pk}/test/"]
    if part == "filled":
        _people()
        version = playbook_submit(playbook_id=playbook.pk, by=playbook.owner)
        dry_run = dry_run_start(playbook_id=playbook.pk, by=make_user(), version_id=version.pk)
        addresses.append(f"/console/dry-runs/{dry_run.pk}/")
        dry_run_go(dry_run_id=dry_run.pk)
        addresses += [f"/console/dry-runs/{dry_run.pk}/samples/{place}/" for place in (1, 8)]
    else:
        nobody = dry_run_start(playbook_id=playbook.pk, by=make_user())
        dry_run_go(dry_run_id=nobody.pk)
        addresses.append(f"/console/dry-runs/{nobody.pk}/")
    sign_in(desktop, make_user("publisher"))

    for address in addresses:
        for size in (DESKTOP, PHONE):
            desktop.set_viewport_size(size)  # type: ignore[arg-type]
            desktop.goto(address)
            assert violations(desktop) == [], (address, size)
        assert overflow(desktop) == 0, address


def test_a_form_for_a_test_works_by_keyboard_on_a_phone(phone: Page) -> None:
    playbook = make_playbook()
    sign_in(phone, make_user())
    phone.goto(f"/console/playbooks/{playbook.pk}/test/")

    phone.get_by_label("Anna, known well").focus()
    phone.keyboard.press("ArrowDown")
    expect(phone.get_by_label("Somebody we know nothing of")).to_be_checked()
    phone.get_by_label("Language").select_option("de")
    phone.get_by_label("Hero").select_option("1. German speaking")
    phone.get_by_role("button", name="Send it to me").press("Enter")

    expect(phone.get_by_text("It waits for a sender")).to_be_visible()
    test: Any = TestSend.objects.get()
    assert (test.seen_as, test.language) == ("Somebody we know nothing of", "de")
