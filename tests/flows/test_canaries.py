"""Unmistakable names, addresses and values are sent through the main deeds, and looked for where they may not be.

Real processes at DEBUG: an import, Celery's workers, a web server; a relay that refuses and repeats the address; and a
database that fails with the values in its words. What goes to Redis is listened to.
"""

import base64
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen
from uuid import UUID

import pytest
import redis
from django.conf import settings
from django.db import connection
from pytest_django import Settings

from apps.data.consent.links import preferences_url, unsubscribe_url
from apps.data.events.services import event_record
from apps.data.profiles.models import Profile
from apps.decisioning.playbooks.services import run_start
from apps.delivery.sending.models import Message
from apps.delivery.webhooks.services import endpoint_create
from apps.foundation.core.clock import now
from apps.surfaces.console.models import TestSend
from apps.surfaces.console.own_tests import Wish, own_test_make
from tests.delivery.relay import Relay
from tests.factories import make_published, make_user
from tests.flows.conftest import ROOT, Workers, answers, free_port, wait_for
from tests.preloaded import run

NEEDLE = "zephyr"
"""In each canary, whatever else becomes of it."""
FILE = """Number;Mail;Name;Class;Since;Yes
1;zephyr.one@example.com;Zephyrine Zephyrson;zephyr-gold;2020-01-01;yes
2;zephyr.two@example.com;Zephyrus;zephyr-silver;2020-01-01;yes
3;zephyr.three@example.com;Zephyra;zephyr-tin;2020-01-01;yes
;zephyr@@nowhere;Zephyrless;zephyr-nothing;yesterday;yes
5;zephyr"quote@example.com;"Zephyrquote;zephyr
"""
MAPPING = """source: club
columns: {external_id: Number, email: Mail, first_name: Name, consent_at: Since}
attributes: {tier: Class}
"""
MAY_HOLD = {"profiles_profile", "profiles_identifier", "events_event", "imports_stagedperson"}
"""Tables whose rows tell who somebody is and what they did: see docs/how-it-works/logs.md."""


class Listener:
    """All that is said to Redis, by anybody."""

    def __init__(self, url: str) -> None:
        self.said: list[str] = []
        self._client = redis.Redis.from_url(url, socket_timeout=None)
        self._database = int(urlsplit(url).path.strip("/") or 0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> "Listener":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._client.ping()  # heard by the listener, who then looks whether it is over
        self._thread.join(5)

    def _listen(self) -> None:
        with self._client.monitor() as monitor:  # type: ignore[no-untyped-call]  # redis-py has no type for it
            while not self._over.is_set():
                heard = monitor.next_command()
                if heard["db"] == self._database:  # the server may be others' too
                    self.said.append(str(heard["command"]))

    def tasks(self) -> list[str]:
        """The bodies of tasks: their arguments, out of the base64 in which kombu packs them."""
        packed = re.findall(r'"body": "([A-Za-z0-9+/=]+)"', "\n".join(self.said).replace('\\"', '"'))
        return [base64.b64decode(body).decode() for body in packed]


@pytest.fixture
def relay() -> Iterator[Relay]:
    """A relay that repeats what it is told: it refuses one person, puts another off, and takes the rest."""
    one = Relay(
        plan=lambda recipient: {
            "zephyr.one@example.com": "550 5.1.1 <Zephyr.One@example.com>: zephyr.one is unknown to us",
            "zephyr.two@example.com": "data 451 4.2.2 <zephyr.two@example.com> is full",
        }.get(recipient, "ok")
    )
    one.start()
    yield one
    one.stop()


def _ended(environment: dict[str, str], *words: str) -> str:
    """What a command of ours writes to its standard error."""
    return run("manage.py", *words, env=environment).stderr


def _asked(url: str, fields: dict[str, str] | None = None) -> int:
    """The status of an answer."""
    body = urlencode(fields).encode() if fields is not None else None
    try:
        with urlopen(Request(url, data=body), timeout=20) as answer:  # noqa: S310  # http, to this machine
            return int(answer.status)
    except HTTPError as error:
        return error.code


def _fails_with_values(table: str) -> None:
    """Have the database fail whatever is added to a table, and say the row."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION tests_fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'not zephyr' USING DETAIL = 'the row of zephyr@example.com'; END $$"
        )
        cursor.execute(f"CREATE TRIGGER tests_fail BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION tests_fail()")


def _works_again() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION tests_fail CASCADE")


def _tables_with_the_needle() -> dict[str, str]:
    """Tables with a row that has it, in text or in bytes, and one such row."""
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(
                f"SELECT row::text FROM {table} AS row WHERE row::text ILIKE %s OR row::text LIKE %s LIMIT 1",  # noqa: S608
                [f"%{NEEDLE}%", f"%{NEEDLE[1:].encode().hex()}%"],
            )
            if row := cursor.fetchone():
                found[table] = str(row[0])
    return found


def _holds(text: str) -> str:
    """The line with the needle, "" when there is none."""
    return next((line for line in text.splitlines() if NEEDLE in line.lower()), "")


def test_nobody_is_in_logs_tasks_news_or_the_audit_log(
    workers: Workers, relay: Relay, settings: Settings, tmp_path: Path
) -> None:
    port = free_port()
    workers.environment |= {
        "SMTP_URL": f"smtp://127.0.0.1:{relay.port}?timeout=10",
        "LOG_LEVEL": "DEBUG",
        "DEBUG": "true",  # then Django itself tells most
        "WEBHOOK_INSIDE_HOSTS": "127.0.0.1",
        "SEND_RETRY_SECONDS": "3600",
    }
    settings.WEBHOOK_INSIDE_HOSTS = ["127.0.0.1"]
    administrator = make_user("administrator")
    kinds = ["consent.changed", "suppression.added"]
    endpoint_create(by=administrator, name="CRM", url=f"http://127.0.0.1:{free_port()}/news", kinds=kinds)
    (tmp_path / "people.csv").write_text(FILE)
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    with Listener(settings.REDIS_URL) as listener, (tmp_path / "web.log").open("wb") as web_log:
        # when people come by a file with faulty lines, by a command
        commands = _ended(
            workers.environment, "import_profiles", str(tmp_path / "people.csv"), "--mapping",
            str(tmp_path / "mapping.yaml"), "--grant", "marketing", "--evidence", "they signed", "--by",
            administrator.email,
        )  # fmt: skip
        people = {profile.first_name: profile for profile in Profile.objects.all()}
        assert {"Zephyrine Zephyrson", "Zephyrus", "Zephyra"} <= set(people)
        one, two, three = (people[name].pk for name in ("Zephyrine Zephyrson", "Zephyrus", "Zephyra"))
        for number, profile_id in enumerate((one, two, three)):
            event_record(
                profile_id=profile_id, name="Viewed", message_id=f"event-{number}", occurred_at=now(),
                properties={"searched": "zephyr socks"},
            )  # fmt: skip
        # and a run for them cannot be decided at first, then is, and is sent, refused and put off
        run = run_start(playbook_id=make_published().pk, occasion_key="once", trigger="hand")
        _fails_with_values("decisions_decision")
        workers.start("-l", "DEBUG")
        wait_for(lambda: "tests_fail" in _log(workers) or "P0001" in _log(workers), seconds=60, what="a failed task")
        _works_again()
        wait_for(
            lambda: Message.objects.exclude(state__in=["queued", "claimed", "sending"]).count() >= 3,
            seconds=90,
            what="the messages are out",
        )
        # and staff send themselves what one of them would get
        own_test_make(by=make_user("publisher"), playbook_id=run.playbook_id, wish=Wish(profile_id=three))
        wait_for(lambda: TestSend.objects.filter(finished_at=None).count() == 0, seconds=30, what="the test is out")
        # and they use their links, right and wrong, while the database fails and after
        web = subprocess.Popen(
            [sys.executable, "-m", "granian", "--interface", "wsgi", "--workers", "1", "--host", "127.0.0.1",
             "--port", str(port), "--log-level", "debug", "config.wsgi:application"],
            cwd=ROOT, env=workers.environment, stdout=web_log, stderr=web_log,
        )  # fmt: skip
        try:
            wait_for(lambda: answers(port), seconds=30, what="the web server answers")
            message = UUID(str(Message.objects.get(profile_id=three).pk))
            leave = _here(unsubscribe_url(profile_id=three, message_id=message), port)
            choose = _here(preferences_url(profile_id=three, message_id=message), port)
            _fails_with_values("consent_consentrecord")
            assert _asked(leave, {"List-Unsubscribe": "One-Click"}) == 500
            _works_again()
            assert _asked(leave) == 200
            assert _asked(leave, {"List-Unsubscribe": "One-Click"}) == 200
            assert _asked(choose, {"do": "agree", "purpose": "marketing"}) == 200
            assert _asked(f"http://127.0.0.1:{port}/zephyr@example.com?q=zephyr%40example.com") == 404
            assert _asked(choose[:-3] + "AAA") == 404
            assert _asked(choose, {"do": "zephyr", "purpose": "zephyr@example.com"}) == 400
        finally:
            web.terminate()
            web.wait(20)
        time.sleep(1)  # what is still woken gets to Redis
    workers.stop()
    web_said = (tmp_path / "web.log").read_text()
    # then nobody is anywhere but where they belong
    assert _holds(commands) == ""
    assert _holds(_log(workers)) == ""
    assert _holds(web_said) == ""
    assert _holds("\n".join(listener.said)) == ""
    assert _holds("\n".join(listener.tasks())) == ""
    assert _tables_with_the_needle().keys() <= MAY_HOLD, _tables_with_the_needle()
    # nor is a link by which one could choose for them
    assert leave.rpartition(".")[2] not in web_said + _log(workers)
    # and each of them was at work
    assert "P0001" in web_said
    assert "Not Found: •••" in web_said
    assert Message.objects.filter(state="failed", reason="refused").count() == 1
    assert len(listener.tasks()) > 5


def _here(url: str, port: int) -> str:
    return url.replace(str(settings.BASE_URL), f"http://127.0.0.1:{port}")


def _log(workers: Workers) -> str:
    return workers.log.read_text() if workers.log.exists() else ""
