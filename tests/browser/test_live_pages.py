"""Open pages move when something changes elsewhere: across tabs, across web processes, and after Redis was away."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import redis
from playwright.sync_api import Page, expect
from pytest_django import Settings

from apps.data.consent.links import preferences_url
from apps.data.consent.models import Channel, ConsentRecord
from apps.data.consent.services import consent_grant, consent_withdraw
from apps.foundation.core import live
from bin.lib.places import redis_programs
from bin.lib.servers import free_port
from tests.browser.accessibility import violations
from tests.browser.conftest import sign_in, sites_run
from tests.factories import make_user
from tests.surfaces.ledger import make_message

RedisStart = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def redis_of_its_own(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisStart]:
    """Starts a Redis that the test may stop; REDIS_URL points at it, running or not."""
    port = free_port()
    settings.REDIS_URL = f"redis://127.0.0.1:{port}/0"
    monkeypatch.setattr(live, "_publisher", None)
    running: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [str(redis_programs() / "redis-server"), "--port", str(port), "--save", "", "--dir", str(tmp_path)]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        client = redis.Redis.from_url(settings.REDIS_URL)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                client.ping()
                return running[-1]
            except redis.RedisError:
                time.sleep(0.05)
        raise AssertionError("Redis does not answer")

    yield start
    for process in running:
        process.terminate()
        process.wait(20)


def choose(profile_id: int, change: Callable[..., bool]) -> None:
    """What the person says elsewhere: by a mail provider's button, say."""
    method = ConsentRecord.Method.ONE_CLICK
    change(profile_id=profile_id, purpose="marketing", channel=Channel.EMAIL, method=method, source="test")


def test_other_pages_move(desktop: Page, live_server: Any, redis_of_its_own: RedisStart) -> None:
    server = redis_of_its_own()
    profile = make_message(consent=("marketing",)).profile
    path = urlsplit(preferences_url(profile_id=profile.pk, message_id=uuid4())).path
    with sites_run(live_server, 2) as (here, there):
        other = desktop.context.new_page()
        for page, site in ((desktop, here), (other, there)):
            with page.expect_response("**/live/p/*") as answered:
                page.goto(f"{site}{path}")
            assert answered.value.headers["content-type"].startswith("text/event-stream")
        mine = desktop.get_by_role("switch", name="News and offers")
        theirs = other.get_by_role("switch", name="News and offers")
        other.get_by_role("button", name="Leave everything").focus()
        staff = desktop.context.browser.new_context().new_page()  # type: ignore[union-attr]  # it has one
        sign_in(staff, make_user("analyst"))
        with staff.expect_response("**/live/person/*/"):
            staff.goto(f"{there}/console/people/{profile.pk}/")
        marketing = staff.get_by_role("row", name="News and offers")
        expect(marketing).to_contain_text("✓ allowed")
        assert violations(staff) == []
        staff.get_by_role("link", name="Why", exact=False).first.focus()

        # a choice in one tab moves the other, on another process, says so, and takes nobody's place on the page
        mine.click()
        expect(theirs).to_have_attribute("aria-checked", "false")
        expect(other.get_by_role("status")).to_contain_text("changed elsewhere")
        expect(other.get_by_role("button", name="Leave everything")).to_be_focused()
        expect(desktop.get_by_role("status")).to_have_text("Done: News and offers is off from now on.")
        expect(marketing).to_contain_text("Left: consent was withdrawn")
        expect(staff.get_by_text("Withdrew “News and offers” by e-mail")).to_be_visible()
        expect(staff.get_by_role("status").filter(has_text="News and offers, e-mail: Off")).to_have_count(1)
        expect(staff.get_by_role("link", name="Why", exact=False).first).to_be_focused()

        # after Redis was away, and nobody could be told, pages look anew, and move again
        server.terminate()
        server.wait(20)
        choose(profile.pk, consent_grant)
        redis_of_its_own()
        expect(theirs).to_have_attribute("aria-checked", "true")
        expect(mine).to_have_attribute("aria-checked", "true")
        choose(profile.pk, consent_withdraw)
        expect(theirs).to_have_attribute("aria-checked", "false")
        expect(marketing).to_contain_text("Left: consent was withdrawn")
        staff.context.close()
        assert desktop.context.cookies() == []
