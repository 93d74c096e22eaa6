"""Systems that are asked: a server that hangs, errs and cuts, and a table of one's own that moves meanwhile."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg2
import pytest
from django.db import connection
from pytest_django import Settings

from apps.data.inbound import asking
from apps.data.inbound.asking import system_ask, systems_ask_due
from apps.data.inbound.models import InboundLetter, InboundSystem
from apps.data.inbound.services import system_go_on, system_stop
from apps.data.profiles.models import Profile
from apps.foundation.core.clock import now
from apps.foundation.core.outward import OutwardFault, outward_get
from config.inbound import inbound_systems_read
from tests.factories import make_user

MAPPING = {"what": "people", "number": "id", "at": "updated_at", "first_name": "name"}
Answer = Any


class Server:
    """A system's API. answer: what it says to a query: JSON, a status, "hang", "trickle", "cut" or "drop"."""

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, str]], Answer] = lambda asked: []
        self.asked: list[dict[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the library's name
                asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
                server.asked.append(asked)
                said = server.answer(asked)
                if said == "hang":
                    time.sleep(1.2)
                    return
                if said == "drop":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                status = said if isinstance(said, int) else 200
                body = b"" if isinstance(said, int) else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body) + (99 if said in ("cut", "trickle") else 0)))
                self.end_headers()
                self.wfile.write(body)
                for _ in range(60 if said == "trickle" else 0):
                    time.sleep(0.05)
                    self.wfile.write(b" ")
                    self.wfile.flush()

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:
                    """The other side left."""

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/people"
        threading.Thread(target=lambda: self.server.serve_forever(0.02), daemon=True).start()


@pytest.fixture
def server(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(asking, "TIMEOUT_SECONDS", 0.6)
    one = Server()
    settings.WEBHOOK_INSIDE_HOSTS = ["127.0.0.1"]
    settings.INBOUND_SYSTEMS = inbound_systems_read(
        {"crm": {"kind": "pull", "url": one.url, "since": "since", "items": "data", "mapping": MAPPING}}
    )
    yield one
    one.server.shutdown()
    one.server.server_close()


def person(number: int, minutes: int, name: str = "") -> dict[str, Any]:
    at = (now() - timedelta(minutes=minutes)).isoformat()
    return {"id": number, "updated_at": at, "name": name or f"P{number}"}


def names() -> list[str]:
    return sorted(Profile.objects.values_list("first_name", flat=True))


@pytest.mark.django_db
def test_what_changed_is_asked_for_from_a_little_before_the_newest(server: Server) -> None:
    people = [person(n, 60 - n) for n in range(1, 6)]
    server.answer = lambda asked: {"data": [one for one in people if one["updated_at"] >= asked.get("since", "")][:3]}

    assert system_ask("crm") >= 5
    assert names() == ["P1", "P2", "P3", "P4", "P5"]
    assert server.asked[0] == {}
    people[1] = person(2, 1, "Changed")
    assert system_ask("crm") == 3  # the newest once more, and what changed; that once more, and no more came
    assert names() == ["Changed", "P1", "P3", "P4", "P5"]
    assert InboundSystem.objects.get().last_problem == ""
    # it is due again only later
    assert systems_ask_due() == 0


@pytest.mark.django_db
def test_a_cursor_of_theirs_is_kept_and_gone_on_from(server: Server, settings: Settings) -> None:
    settings.INBOUND_SYSTEMS["crm"]["next"] = "next"
    server.answer = lambda asked: {
        "data": [person(int(asked.get("since", 0)) + 1, 5)],
        "next": int(asked.get("since", 0)) + 1 if int(asked.get("since", 0)) < 3 else None,
    }
    assert system_ask("crm") == 4
    assert [asked.get("since") for asked in server.asked] == [None, "1", "2", "3"]
    assert InboundSystem.objects.get().cursor == {"next": 3}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("answer", "problem", "tries"),
    [
        ("hang", "timeout", 2),
        ("trickle", "timeout", 2),
        ("cut", "connection_lost", 2),
        ("drop", "connection_lost", 2),
        (500, "500", 2),
        (429, "429", 1),
        (401, "401", 1),
        (302, "302", 1),
        ({"data": 1}, "no list of things", 1),
    ],
)
def test_a_system_that_fails_is_left_alone_for_a_while(
    server: Server, answer: Answer, problem: str, tries: int
) -> None:
    server.answer = lambda asked: answer
    for faults in (1, 2):
        assert system_ask("crm") == 0
        system = InboundSystem.objects.get()
        assert system.faults == faults
        assert system.last_problem.startswith(f"could not be asked: {problem}")
        assert 0.8 * 300 * faults - 30 <= (system.due_at - now()).total_seconds() <= 1.2 * 300 * faults
    assert len(server.asked) == 2 * tries
    assert systems_ask_due() == 0
    server.answer = lambda asked: {"data": []}
    assert system_ask("crm") == 0
    assert (InboundSystem.objects.get().faults, InboundSystem.objects.get().last_problem) == (0, "")
    one = person(1, 1)
    server.answer = lambda asked: {"data": [one]}
    assert system_ask("crm") == 2
    assert (InboundSystem.objects.get().faults, names()) == (0, ["P1"])


@pytest.mark.django_db
def test_it_goes_nowhere_inside_and_takes_not_more_than_is_said(server: Server, settings: Settings) -> None:
    server.answer = lambda asked: {"data": ["x" * 5_000]}
    with pytest.raises(OutwardFault, match="too_large"):
        outward_get(server.url, headers={}, timeout=5, most=1_000, inside=["127.0.0.1"])
    settings.WEBHOOK_INSIDE_HOSTS = []
    assert system_ask("crm") == 0
    assert "address_refused" in InboundSystem.objects.get().last_problem
    assert len(server.asked) == 1


@pytest.mark.django_db
def test_what_can_not_be_taken_is_one_letter_however_often_it_is_read(server: Server) -> None:
    things = [person(1, 5), {"id": None, "updated_at": "2026-01-01T00:00:00Z"}, "x"]
    server.answer = lambda asked: {"data": things}
    for _ in range(3):
        system_ask("crm")
    assert (names(), InboundLetter.objects.count()) == (["P1"], 2)
    assert InboundSystem.objects.get().set_aside == 2


@pytest.mark.django_db
def test_staff_stop_it_after_the_page_and_let_it_go_on_from_there(server: Server, settings: Settings) -> None:
    settings.INBOUND_SYSTEMS["crm"]["next"] = "next"
    engineer = make_user("engineer")

    pages = asking._pages_pulled

    def watched(terms: Any, cursor: Any) -> Iterator[Any]:
        for number, page in enumerate(pages(terms, cursor), 1):
            if number == 2:
                system_stop(code="crm", by=engineer)
            yield page

    server.answer = lambda asked: {
        "data": [person(int(asked.get("since", 0)) + 1, 5)],
        "next": int(asked.get("since", 0)) + 1 if int(asked.get("since", 0)) < 3 else None,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asking, "_pages_pulled", watched)
        assert system_ask("crm") == 2
    assert (names(), systems_ask_due()) == (["P1", "P2"], 0)
    system_go_on(code="crm", by=engineer)
    assert systems_ask_due() == 2
    assert names() == ["P1", "P2", "P3", "P4"]


# --- a table ---


@pytest.fixture
def table(settings: Settings, transactional_db: None) -> Iterator[Any]:
    """A table of a customer's own, in a database of ours, by a connection of its own."""
    connection.ensure_connection()
    info = connection.connection.info
    dsn = f"host={info.host} port={info.port} dbname={info.dbname} user={info.user} password={info.password}"
    own = psycopg2.connect(dsn)
    own.autocommit = True
    cursor = own.cursor()
    cursor.execute(
        "DROP TABLE IF EXISTS shop_people;"
        "CREATE TABLE shop_people (id bigint PRIMARY KEY, name text, updated_at timestamp NOT NULL)"
    )
    settings.INBOUND_SYSTEMS = inbound_systems_read(
        {
            "db": {
                "kind": "table", "dsn": dsn, "table": "public.shop_people", "changed": "updated_at", "key": "id",
                "mapping": MAPPING,
            }
        }
    )  # fmt: skip
    yield cursor
    cursor.execute("DROP TABLE shop_people")
    own.close()


def test_a_table_is_followed_page_by_page_and_what_is_committed_late_is_seen(
    table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PAGE", 4)
    table.execute(
        "INSERT INTO shop_people SELECT n, 'P' || n, timezone('UTC', now()) - interval '1 hour'"
        " FROM generate_series(1, 10) AS n"
    )  # all in one moment: the key tells them apart
    assert system_ask("db") == 10
    assert len(names()) == 10
    table.execute("INSERT INTO shop_people VALUES (11, 'Late', timezone('UTC', now()) - interval '1 hour 30 seconds')")
    table.execute("INSERT INTO shop_people VALUES (12, 'Gone', timezone('UTC', now()) - interval '1 hour 3 minutes')")
    table.execute("UPDATE shop_people SET name = 'Changed', updated_at = timezone('UTC', now()) WHERE id = 3")
    system_ask("db")
    found = names()
    assert ("Late" in found, "Changed" in found, "P3" in found, "Gone" in found) == (True, True, False, False)
    assert InboundSystem.objects.get().last_problem == ""


def test_a_table_that_is_not_there_says_so_without_its_address(table: Any, settings: Settings) -> None:
    settings.INBOUND_SYSTEMS["db"]["table"] = "public.nowhere"
    assert system_ask("db") == 0
    assert InboundSystem.objects.get().last_problem == "could not be asked: PostgreSQL 42P01"
    settings.INBOUND_SYSTEMS["db"]["dsn"] = "host=127.0.0.1 port=1 dbname=x password=t0ps3cret"
    assert system_ask("db") == 0
    assert InboundSystem.objects.get().last_problem == "could not be asked: OperationalError"


@pytest.mark.parametrize(
    "change",
    [
        {"table": 'x"; DROP TABLE y'},
        {"changed": "updated at"},
        {"dsn": "mysql://t0ps3cret@x/y"},
        {"every_seconds": 1},
        {"overlap_seconds": "60"},
        {"mapping": {}},
        {"colour": "x"},
    ],
)
def test_a_table_that_can_not_be_meant_stops_the_start(change: dict[str, Any]) -> None:
    terms = {"kind": "table", "dsn": "host=x", "table": "t", "changed": "at", "key": "id", "mapping": MAPPING}
    assert inbound_systems_read({"db": terms})["db"]["every_seconds"] == 300
    with pytest.raises(ValueError, match="INBOUND_SYSTEMS: db") as caught:
        inbound_systems_read({"db": {**terms, **change}})
    assert "t0ps3cret" not in str(caught.value)
