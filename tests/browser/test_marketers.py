"""A marketer's day, in the browser and with real workers: write, ask, be asked to change, change, be approved, publish,
run; and the mail arrives as it was approved.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis
from django.conf import settings
from django.db import connection
from django.urls import reverse
from playwright.sync_api import Page, expect

from apps.decisioning.content.models import Block
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion, Run
from apps.delivery.sending.models import Message
from apps.foundation.accounts.models import User
from apps.foundation.governance.models import Review
from tests.factories import make_market, make_playbook, make_profile, make_user
from tests.flows.conftest import Catcher, Workers, catcher, wait_for

from .conftest import sign_in

__all__ = ["catcher"]  # a fixture


@pytest.fixture
def workers(catcher: Catcher, tmp_path: Path, transactional_db: None) -> Iterator[Workers]:
    """Celery's workers on the database of the live server."""
    redis.Redis.from_url(settings.REDIS_URL).flushdb()
    path = f"/{connection.settings_dict['NAME']}"
    environment = os.environ | {
        "DATABASE_URL": urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=path)),
        "REDIS_URL": settings.REDIS_URL,
        "SMTP_URL": f"smtp://127.0.0.1:{catcher.smtp_port}",
        "DATA_DIR": str(tmp_path / "data"),
    }
    running = Workers(environment, tmp_path / "workers.log")
    yield running
    running.stop()


def as_person(page: Page, user: User) -> Page:
    """The page from now on as somebody else sees it."""
    page.context.clear_cookies()
    sign_in(page, user)
    return page


def ask(page: Page, playbook: Playbook) -> None:
    """Ask for approval by the playbook's button."""
    page.goto(reverse("admin:playbooks_playbook_change", args=[playbook.pk]))
    page.get_by_role("link", name="Ask for approval").first.click()
    page.get_by_role("button", name="Ask for approval").click()
    expect(page.get_by_text(re.compile("Ask others to agree"))).to_have_count(0)


def test_from_a_word_to_the_mail_as_it_was_approved(desktop: Page, catcher: Catcher, workers: Workers) -> None:
    # given a playbook of a publisher, a block of a market in it, and three who agreed
    page = desktop
    market = make_market()
    publisher = make_user("publisher", markets=[market])
    editor, approver = make_user("local_editor", markets=[market]), make_user("brand_approver")
    playbook = make_playbook(owner=publisher)
    block = Block.objects.get(pk=playbook.slots["hero"][-1]["block"])
    Block.objects.filter(pk=block.pk).update(market=market)
    for number in range(3):
        make_profile(email=f"person-{number}@example.com", consent=("marketing",))

    # when the publisher asks, and the approver wants a change
    ask(as_person(page, publisher), playbook)
    as_person(page, approver).goto(reverse("console:reviews"))
    page.get_by_role("link", name=re.compile("News .* v1")).first.click()
    page.get_by_label("Comment", exact=True).fill("Say that they are Ceylon teas")
    page.get_by_role("button", name="Ask for changes").click()
    expect(page.get_by_text("Your answer is recorded.")).to_be_visible()

    # and the publisher is told of it, and the market's editor changes the block
    as_person(page, publisher).goto(reverse("console:notices"))
    expect(page.get_by_text("Say that they are Ceylon teas").first).to_be_visible()
    as_person(page, editor).goto(reverse("admin:content_block_change", args=[block.pk]))
    page.locator("[name=content__en__words]").fill("New Ceylon teas")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()

    # and it is asked for again, approved, published and started
    ask(as_person(page, publisher), playbook)
    version = PlaybookVersion.objects.get(number=2)
    review = Review.objects.get(state=Review.State.OPEN)
    as_person(page, approver).goto(reverse("console:review", args=[review.pk]))
    expect(page.frame_locator("iframe").first.get_by_text("New Ceylon teas")).to_be_visible()
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("Your answer is recorded.")).to_be_visible()
    as_person(page, publisher).goto(reverse("admin:playbooks_playbook_change", args=[playbook.pk]))
    page.get_by_role("link", name=re.compile("^(publish )?Publish$")).first.click()
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_role("link", name="Start a run now").first).to_be_visible()
    version.refresh_from_db()
    assert version.state == PlaybookVersion.State.PUBLISHED
    workers.start()
    page.get_by_role("link", name="Start a run now").first.click()
    page.get_by_label("Occasion").fill("spring")
    page.get_by_role("button", name="Start the run").click()

    # then the run's page says when all have it, and each mail says what was approved
    expect(page).to_have_url(re.compile(r"/console/runs/\d+/"))
    run = Run.objects.get()
    expect(page).to_have_url(re.compile(reverse("console:run", args=[run.pk])))
    wait_for(lambda: Message.objects.filter(state="sent").count() == 3, seconds=90, what="all three have it")
    page.reload()
    expect(page.locator(".t-stats div", has_text="Sent").get_by_role("link")).to_have_text("3")
    mails = catcher.mails()
    assert sorted(str(mail["To"]).strip("<>") for mail in mails) == [f"person-{n}@example.com" for n in range(3)]
    assert all("New Ceylon teas" in mail.get_body(("plain",)).get_content() for mail in mails)  # type: ignore[union-attr]
