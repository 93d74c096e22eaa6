"""The customers' pages on a real server: many posts at once, double clicks, and a server that is killed in between."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode, urlsplit, urlunsplit

import pytest
import redis
from django.conf import settings

from apps.data.consent.links import unsubscribe_url
from apps.data.consent.models import ConsentRecord, ConsentState, Gate
from apps.data.profiles.models import LinkAsked, Profile
from apps.decisioning.playbooks.models import MailWant, Playbook, PlaybookVersion
from apps.foundation.core.ids import uuid7
from tests.delivery.makers import make_run
from tests.factories import make_profile, make_purposes

from .conftest import ROOT, wait_for

T = TypeVar("T")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ONE_CLICK = "List-Unsubscribe=One-Click"
POSTS = 1_000
"""From one address, as fast as the server takes them."""
PER_NETWORK = 20


@dataclass
class Web:
    """Granian in a group of processes that can be killed."""

    port: int
    environment: dict[str, str]
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--workers", "2", "--blocking-threads", "4"]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--no-ws", "--log-level", "error"]
        self.process = subprocess.Popen(
            [*command, "tests.flows.serving:application"], cwd=ROOT, env=self.environment, start_new_session=True
        )
        wait_for(self.answers, seconds=60, what="the server answers")

    def answers(self) -> bool:
        try:
            return self.post("/u/nothing", "")[0] == 404
        except (OSError, http.client.HTTPException):
            return False

    def kill(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def post(self, path: str, body: str) -> tuple[int, bytes]:
        """One POST on a connection of its own. Raises OSError, HTTPException when the server is gone."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            line.request("POST", path, body, FORM)
            answer = line.getresponse()
            return answer.status, answer.read()
        finally:
            line.close()


@pytest.fixture
def web(own_database: str) -> Iterator[Web]:
    """A server on the tests' database, started."""
    redis.Redis.from_url(settings.REDIS_URL).flushdb()
    url = urlsplit(os.environ["DATABASE_URL"])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    environment = os.environ | {
        "DATABASE_URL": urlunsplit(url._replace(path=f"/{own_database}")),
        "REDIS_URL": settings.REDIS_URL,
        "LINK_ASKS_PER_NETWORK": str(PER_NETWORK),
        "LOG_LEVEL": "CRITICAL",
        "DEBUG": "true",  # static files by their own names: nothing was collected here
    }
    server = Web(port, environment)
    make_purposes()
    server.start()
    yield server
    server.kill()


def leave_path(profile: Profile) -> str:
    return urlsplit(unsubscribe_url(profile_id=profile.pk, message_id=uuid7())).path


def at_once(post: Callable[[T], tuple[int, bytes]], what: Iterable[T], threads: int) -> Counter[int]:
    """The statuses of posts, so many at a time."""
    with ThreadPoolExecutor(threads) as pool:
        return Counter(status for status, _ in pool.map(post, what))


@pytest.mark.slow
def test_many_posts_from_one_address_keep_nobody_from_leaving_and_a_double_click_is_one_choice(web: Web) -> None:
    version = make_run().version
    PlaybookVersion.objects.filter(pk=version.pk).update(mail_kind=Playbook.Mail.LINK, state="published")
    leavers = [make_profile(consent=("marketing",)) for _ in range(20)]
    left: list[int] = []

    def leave() -> None:
        left.extend(web.post(leave_path(profile), ONE_CLICK)[0] for profile in leavers)

    beside = threading.Thread(target=leave)
    beside.start()
    flood = at_once(
        lambda number: web.post("/p/", urlencode({"email": f"{number}@example.com"})), range(POSTS), threads=32
    )
    beside.join()

    assert flood == {303: PER_NETWORK, 429: POSTS - PER_NETWORK}
    assert left == [200] * len(leavers)
    assert LinkAsked.objects.count() + MailWant.objects.count() == PER_NETWORK
    assert ConsentState.objects.filter(purpose="marketing", granted=False).count() == len(leavers)

    hasty = make_profile(consent=("marketing",))
    path = leave_path(hasty)
    clicks = at_once(lambda _: web.post(path, ONE_CLICK), range(16), threads=16)
    many = at_once(lambda profile: web.post(leave_path(profile), ONE_CLICK), leavers * 5, threads=16)

    assert (clicks, many) == ({200: 16}, {200: 5 * len(leavers)}), "leaving is never limited"
    assert ConsentRecord.objects.filter(profile=hasty, action="withdraw").count() == 1
    assert ConsentRecord.objects.filter(action="withdraw").count() == len(leavers) + 1


@pytest.mark.slow
def test_a_post_in_the_middle_of_a_restart_is_whole_or_not_at_all(web: Web) -> None:
    people = [make_profile(consent=("marketing",)) for _ in range(120)]
    answered: dict[int, int] = {}

    def leave(profile: Profile) -> None:
        try:
            answered[profile.pk] = web.post(leave_path(profile), ONE_CLICK)[0]
        except (OSError, http.client.HTTPException):
            answered[profile.pk] = 0

    with ThreadPoolExecutor(8) as pool:
        posts = [pool.submit(leave, profile) for profile in people]
        wait_for(lambda: sum(post.done() for post in posts) >= 30, seconds=60, what="the first have left")
        web.kill()
    web.start()

    outcomes = Counter(answered.values())
    assert set(outcomes) == {0, 200}
    withdrawn = set(ConsentState.objects.filter(purpose="marketing", granted=False).values_list("profile", flat=True))
    recorded = list(ConsentRecord.objects.filter(action="withdraw").values_list("profile", flat=True))
    turned = set(Gate.objects.filter(version=1).values_list("profile", flat=True))
    assert sorted(recorded) == sorted(withdrawn) == sorted(turned), "record, what holds, and the gate: all or none"
    assert {pk for pk, status in answered.items() if status == 200} <= withdrawn, "what was answered is there"

    for profile in people:
        if answered[profile.pk] == 0:
            leave(profile)
    assert Counter(answered.values()) == {200: len(people)}
    assert ConsentRecord.objects.filter(action="withdraw").count() == len(people)
