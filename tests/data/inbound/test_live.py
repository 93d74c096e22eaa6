"""A live source that answers, hangs, errs and cuts: nobody waits longer than they said; what was known stays good."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import redis
from django.conf import settings as settings_read
from django.test import Client
from pytest_django import Settings

from apps.data.inbound import live
from apps.data.inbound.live import live_items
from apps.data.inbound.models import InboundSystem
from config.inbound import inbound_systems_read
from tests.factories import make_user

from .test_asking import Server

MAPPING = {"price": "price.now", "in_stock": "left"}
pytestmark = pytest.mark.django_db


@pytest.fixture
def source(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    one = Server()
    settings.WEBHOOK_INSIDE_HOSTS = ["127.0.0.1"]
    settings.INBOUND_SYSTEMS = inbound_systems_read(
        {"stock": {"kind": "live", "url": one.url + "?sku={key}", "timeout_ms": 400, "mapping": MAPPING}}
    )
    live._standings.clear()
    # told of by the thread that asks, which has a database connection of its own and commits
    monkeypatch.setattr(live, "_tell", lambda *told: TOLD.append(told))
    monkeypatch.setattr(live, "_REDIS_SECONDS", 30.0)
    live._client.cache_clear()
    TOLD.clear()
    store = redis.Redis.from_url(settings_read.REDIS_URL)
    for key in store.scan_iter("live:*"):
        store.delete(key)
    one.answer = lambda asked: {"price": {"now": "9.90"}, "left": 3}
    yield one
    one.server.shutdown()
    one.server.server_close()


TOLD: list[tuple[Any, ...]] = []
GOOD = {"price": Decimal("9.9000"), "in_stock": True}


def how(skus: list[str], seconds: float = 30.0) -> dict[str, str]:
    return {sku: one.how for sku, one in live_items(skus, seconds=seconds).items()}


def test_it_is_asked_once_and_what_it_said_is_kept_sealed(source: Server) -> None:
    found = live_items(["T1", "a/b ?"], seconds=30)
    assert {sku: (dict(one.fields), one.how) for sku, one in found.items()} == {
        "T1": (GOOD, "live"),
        "a/b ?": (GOOD, "live"),
    }
    assert sorted(asked["sku"] for asked in source.asked) == ["T1", "a/b ?"]
    assert how(["T1", "a/b ?"]) == {"T1": "fresh", "a/b ?": "fresh"}
    assert len(source.asked) == 2
    assert dict(live_items(["T1"], seconds=30)["T1"].fields) == GOOD
    store: Any = redis.Redis.from_url(settings_read.REDIS_URL)
    [one, _] = [store.get(key) for key in store.scan_iter("live:*")]
    assert b"price" not in one


@pytest.mark.parametrize(
    "answer", ["hang", "trickle", "cut", "drop", 500, 302, 401, "no object", {"price": {"now": "x"}}]
)
def test_while_it_fails_what_it_said_last_is_good_and_it_is_left_alone(
    source: Server, settings: Settings, answer: Any
) -> None:
    settings.INBOUND_SYSTEMS["stock"]["fresh_seconds"] = 0
    settings.INBOUND_SYSTEMS["stock"]["timeout_ms"] = 200
    assert how(["T1"]) == {"T1": "live"}
    good = len(source.asked)
    source.answer = lambda asked: answer
    for _ in range(3):
        found = live_items(["T1", "new"], seconds=30)
        assert {sku: (one.how, dict(one.fields)) for sku, one in found.items() if one.fields} == {"T1": ("last", GOOD)}
    tries = len(source.asked) - good
    assert 3 <= tries <= 12
    # three faults in a row: nobody asks it any more, for now
    assert how(["T1"]) == {"T1": "last"}
    assert len(source.asked) - good == tries
    assert live._standings["stock"].pause == 2.0
    assert [told[0].opened for told in TOLD][-1]
    source.answer = lambda asked: {"left": 0}
    live._standings["stock"].open_until = 0.0
    assert dict(live_items(["T1"], seconds=30)["T1"].fields) == {"in_stock": False}
    assert (live._standings["stock"].faults, live._standings["stock"].pause) == (0, 0.0)


def test_who_asks_waits_no_longer_than_they_said(source: Server) -> None:
    source.answer = lambda asked: "hang"
    assert how(["T1"], seconds=0.05) == {}
    assert how(["T1"], seconds=0.0) == {}


def test_an_item_that_it_does_not_have_is_no_fault(source: Server) -> None:
    source.answer = lambda asked: 404
    for number in range(5):
        assert how([f"X{number}"]) == {}
    assert live._standings["stock"].faults == 0


def test_without_redis_it_is_asked_and_without_a_source_nobody_is(source: Server, settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert how(["T1"]) == {"T1": "live"}
    assert how(["T1"]) == {"T1": "live"}
    live._standings["stock"].stopped = True  # by staff
    assert how(["T1"]) == {}
    settings.INBOUND_SYSTEMS = {}
    assert how(["T1"]) == {}


@pytest.mark.django_db(transaction=True)
def test_the_admin_is_told_how_it_stands_and_staff_stop_it(
    source: Server, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    monkeypatch.undo()
    live._tell(live._Told("stock", 7, 20, 15, 0, False, ""))
    system = InboundSystem.objects.get()
    assert (system.code, system.taken, system.last_problem) == ("stock", 7, "")
    assert (system.wanted, system.spared, system.open_since) == (20, 15, None)
    assert system.good_at is not None
    InboundSystem.objects.update(stopped=True)
    live._standings["stock"] = live._Standing()
    live._tell(live._Told("stock", 0, 4, 1, 4, True, "timeout"))
    shut = InboundSystem.objects.get()
    assert shut.last_problem == "could not be asked: timeout"
    assert live._standings["stock"].stopped
    live._tell(live._Told("stock", 0, 0, 0, 7, True, "timeout"))
    again = InboundSystem.objects.get()
    assert (again.open_since, again.good_at) == (shut.open_since, system.good_at)
    client.force_login(make_user("administrator"))
    InboundSystem.objects.update(stopped=False)
    page = client.get("/admin/inbound/inboundsystem/").content.decode()
    assert "Left alone since" in page
    assert "67%" in page  # 16 of 24 were known without asking
    live._tell(live._Told("stock", 1, 0, 0, 0, False, ""))
    assert InboundSystem.objects.get().open_since is None


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://a.example/"},
        {"timeout_ms": 5},
        {"mapping": {"title": "x"}},
        {"gives": "weather"},
        {"of": "shop"},
        {"gives": "people", "mapping": {"points": 1}},
        {"mapping": {}},
        {"secret": "x"},
        {"token": 1},
    ],
)
def test_a_source_that_can_not_be_meant_stops_the_start(change: dict[str, Any]) -> None:
    terms = {"kind": "live", "url": "https://a.example/{key}", "mapping": MAPPING}
    assert inbound_systems_read({"x": terms})["x"]["timeout_ms"] == 150
    with pytest.raises(ValueError, match="INBOUND_SYSTEMS: x"):
        inbound_systems_read({"x": {**terms, **change}})
    with pytest.raises(ValueError, match="one live source"):
        inbound_systems_read({"x": terms, "y": terms})
    both = inbound_systems_read({"x": terms, "y": {**terms, "gives": "people", "mapping": {"points": "p"}}})
    assert (both["x"]["gives"], both["y"]["of"]) == ("items", "y")
