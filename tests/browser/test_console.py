"""Staff pages in a browser: by keyboard, at both widths, live with a stream and without."""

from uuid import UUID

import pytest
from playwright.sync_api import Page, Route, expect

from apps.decisioning.playbooks.models import Run
from apps.decisioning.playbooks.services import playbook_submit
from apps.delivery.sending.models import Message
from apps.foundation.core.live import live_publish
from apps.foundation.governance.models import Review
from apps.foundation.governance.services import review_request
from tests.browser.accessibility import overflow, violations
from tests.browser.conftest import DESKTOP, PHONE, sign_in
from tests.factories import make_playbook, make_user
from tests.surfaces.ledger import make_decision, make_message, make_run


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the focus is on what is called `name`."""
    focused = "(at => at.matches('a, button') ? at.innerText.split('\\n') : [])(document.activeElement)"
    for _ in range(60):
        page.keyboard.press("Tab")
        if name in page.evaluate(focused):
            return
    raise AssertionError(f"{name} can't be reached by Tab")


def test_signing_in_and_opening_a_message_by_keyboard_alone(desktop: Page) -> None:
    message = make_message(run=make_run(people=1))
    user = make_user("analyst")
    desktop.goto("/console/")
    assert violations(desktop) == []
    expect(desktop.get_by_label("E-mail address")).to_be_focused()
    desktop.keyboard.type(user.email)
    desktop.keyboard.press("Tab")
    desktop.keyboard.type("a long enough password")
    desktop.keyboard.press("Enter")
    expect(desktop.get_by_role("heading", name="Today")).to_be_visible()

    desktop.keyboard.press("Tab")
    expect(desktop.get_by_role("link", name="To the content")).to_be_focused()
    tab_to(desktop, "Runs")
    desktop.keyboard.press("Enter")
    expect(desktop.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    tab_to(desktop, "Win-back")
    desktop.keyboard.press("Enter")
    expect(desktop.get_by_role("heading", name="Win-back")).to_be_visible()
    tab_to(desktop, "Static: the same for everybody")
    desktop.keyboard.press("Enter")
    desktop.wait_for_url("**/messages/**")
    tab_to(desktop, f"Profile {message.profile_id}")
    desktop.keyboard.press("Enter")

    expect(desktop.get_by_text("identical to what was sent")).to_be_visible()
    frame = desktop.frame_locator("iframe")
    expect(frame.get_by_text("Hello Carla, it has been a while.")).to_be_visible()


def test_approving_by_keyboard_alone(desktop: Page) -> None:
    playbook = make_playbook()
    playbook_submit(playbook_id=playbook.pk, by=playbook.owner)
    review = Review.objects.get()
    sign_in(desktop, make_user("brand_approver"))
    desktop.goto(f"/console/reviews/{review.pk}/")

    tab_to(desktop, "Approve")
    desktop.keyboard.press("Enter")

    expect(desktop.get_by_text("Your answer is recorded.")).to_be_visible()
    assert Review.objects.get(pk=review.pk).state == Review.State.APPROVED


@pytest.mark.parametrize("part", ["empty", "runs", "people", "reviews"])
def test_pages_are_accessible_at_both_widths(desktop: Page, part: str) -> None:
    addresses = {"empty": ["/admin/", "/console/runs/", "/console/reviews/"]}
    if part != "empty":
        run = make_run(people=40)
        message = make_message(run=run)
        make_message(run=run, state="uncertain")
        withheld = make_decision(run=run, outcome="no_consent")
        make_message(run=run, state="queued")
        review = review_request(
            subject=run.version, digest=run.version.digest, path=[["brand_approver"]], by=run.version.created_by
        )
        addresses["runs"] = ["/admin/", "/console/runs/", f"/console/runs/{run.pk}/"]
        addresses["people"] = [
            f"/console/runs/{run.pk}/messages/",
            f"/console/messages/{message.pk}/",
            f"/console/messages/{withheld.pk}/",
        ]
        addresses["reviews"] = [
            "/console/reviews/",
            f"/console/reviews/{review.pk}/",
            f"/console/runs/{run.pk}/cancel/",
            f"/console/runs/{run.pk}/pace/",
        ]
        sign_in(desktop, run.playbook.owner)
    else:
        sign_in(desktop, make_user("local_editor"))

    for address in addresses[part]:
        desktop.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
        desktop.goto(address)
        assert violations(desktop) == [], address
        desktop.set_viewport_size(PHONE)  # type: ignore[arg-type]
        assert violations(desktop) == [], address
        assert overflow(desktop) == 0, address


def test_menu_on_a_phone(phone: Page) -> None:
    sign_in(phone, make_user("publisher"))
    phone.goto("/admin/")
    menu = phone.get_by_role("button", name="Menu")
    expect(menu).to_have_attribute("aria-expanded", "false")

    menu.tap()

    expect(phone.get_by_role("link", name="Reviews", exact=True)).to_be_visible()
    assert violations(phone) == []
    phone.keyboard.press("Escape")
    expect(phone.get_by_role("link", name="Reviews", exact=True)).to_be_hidden()


def test_run_page_moves_by_its_stream(desktop: Page, whole_site: str) -> None:
    run = make_run(people=2, owner=make_user("publisher"))
    Run.objects.filter(pk=run.pk).update(state=Run.State.DECIDING)
    make_message(run=run)
    waiting = make_message(run=run, state="queued")
    sign_in(desktop, run.playbook.owner)
    with desktop.expect_response(f"**/live/run/{run.pk}/") as answered:
        desktop.goto(f"{whole_site}/console/runs/{run.pk}/")
    assert answered.value.headers["content-type"].startswith("text/event-stream")
    expect(desktop.get_by_text("1 of 2 people settled (50.0 %)")).to_be_visible()
    desktop.get_by_role("button", name="Pause").focus()

    Message.objects.filter(pk=waiting.pk).update(state="withheld", reason="frequency_cap")
    live_publish(f"run-{run.pk}")

    expect(desktop.get_by_text("2 of 2 people settled (100.0 %)")).to_be_visible()
    expect(desktop.get_by_text("Had enough messages lately")).to_be_visible()
    expect(desktop.get_by_role("button", name="Pause")).to_be_focused()

    Run.objects.filter(pk=run.pk).update(state=Run.State.DECIDED)
    live_publish(f"run-{run.pk}")

    expect(desktop.get_by_role("status").filter(has_text="Finished")).to_have_count(1)


def test_run_page_shows_the_newest_whatever_becomes_of_one_answer(desktop: Page, whole_site: str) -> None:
    """One that is late must not come behind a newer one, and after one that failed the page asks again by itself."""
    run = make_run(people=3, owner=make_user("publisher"))
    Run.objects.filter(pk=run.pk).update(state=Run.State.DECIDING)
    waiting = [make_message(run=run, state="queued").pk for _ in range(3)]
    sign_in(desktop, run.playbook.owner)
    with desktop.expect_response(f"**/live/run/{run.pk}/"):
        desktop.goto(f"{whole_site}/console/runs/{run.pk}/")
    expect(desktop.get_by_text("0 of 3 people settled")).to_be_visible()
    address = f"{whole_site}/console/runs/{run.pk}/"
    old = desktop.request.get(address, headers={"HX-Request": "true"}).text()
    asked: list[Route] = []

    def answer(route: Route) -> None:
        asked.append(route)
        if len(asked) == 2:
            route.fulfill(status=503)
        elif len(asked) > 2:
            route.continue_()

    def settle(message_id: UUID) -> None:
        Message.objects.filter(pk=message_id).update(state="withheld", reason="frequency_cap")
        live_publish(f"run-{run.pk}")

    desktop.route(address, answer)
    settle(waiting[0])
    while not asked:
        desktop.wait_for_timeout(50)
    settle(waiting[1])
    settle(waiting[2])
    desktop.wait_for_timeout(1500)  # longer than the page's pause between two questions
    assert len(asked) == 1
    asked[0].fulfill(body=old)

    expect(desktop.get_by_text("3 of 3 people settled")).to_be_visible()
    assert len(asked) == 3


def test_run_page_moves_without_a_stream(desktop: Page) -> None:
    run = make_run(people=1)
    waiting = make_message(run=run, state="queued")
    sign_in(desktop, make_user("analyst"))
    desktop.goto(f"/console/runs/{run.pk}/")
    expect(desktop.get_by_text("0 of 1 people settled")).to_be_visible()

    Message.objects.filter(pk=waiting.pk).update(state="withheld", reason="frequency_cap")

    expect(desktop.get_by_text("1 of 1 people settled")).to_be_visible()
