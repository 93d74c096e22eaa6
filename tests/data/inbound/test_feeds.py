"""A product feed: asked for by its ETag, taken by what differs, and never believed when it is cut."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from environs import EnvError
from pytest_django import Settings

from apps.data.catalog.models import Item
from apps.data.inbound import feeds
from apps.data.inbound.asking import system_ask
from apps.data.inbound.models import FeedItem, InboundLetter, InboundSystem
from apps.data.inbound.services import system_stop
from config.inbound import inbound_systems_read
from tests.factories import make_user

from .test_feed_forms import GOOGLE

MAPPING = {"what": "items", "number": "sku", "title": "name", "price": "price"}
pytestmark = pytest.mark.django_db


class Shop:
    """A server with a feed.

    items: what it sells; written: another body; failing: a status that it answers instead, or "cut".
    """

    def __init__(self) -> None:
        self.items: list[Any] = [thing(number) for number in range(30)]
        self.written = b""
        self.etag = '"1"'
        self.failing: Any = 0
        self.asked: list[str] = []
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the library's name
                shop.asked.append(self.headers.get("If-None-Match", ""))
                body = shop.written or json.dumps({"products": shop.items}).encode()
                if isinstance(shop.failing, int) and shop.failing:
                    self.send_error(shop.failing)
                    return
                if shop.etag == self.headers.get("If-None-Match"):
                    self.send_response(304)
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("ETag", shop.etag)
                self.send_header("Content-Length", str(len(body) + (9 if shop.failing == "cut" else 0)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *said: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/feed.json"

    def news(self, *items: Any) -> None:
        """Another feed, under another tag."""
        self.items, self.etag = list(items), f'"{len(self.asked)}-new"'


def thing(number: int, **more: Any) -> dict[str, Any]:
    return {"sku": f"T{number}", "name": f"Tea {number}", "price": "4.50", **more}


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    one = Shop()
    settings.WEBHOOK_INSIDE_HOSTS = ["127.0.0.1"]
    settings.INBOUND_SYSTEMS = inbound_systems_read(
        {"shop": {"kind": "feed", "url": one.url, "items": "products", "mapping": MAPPING}}
    )
    yield one
    one.server.shutdown()
    one.server.server_close()


def standing() -> tuple[int, int, str]:
    system = InboundSystem.objects.get(pk="shop")
    return system.taken, system.faults, system.last_problem


def test_only_what_differs_is_taken_and_unchanged_it_is_not_even_sent(shop: Shop) -> None:
    assert system_ask("shop") == 30
    assert Item.objects.count() == 30
    assert system_ask("shop") == 0
    assert shop.asked == ["", '"1"']

    changed = [*shop.items[:28], thing(28, price="5.00"), {**shop.items[29], "colour": "red"}, thing(30)]
    shop.news(*changed)

    assert system_ask("shop") == 2, "what nobody reads is no news"
    assert str(Item.objects.get(sku="T28").price) == "5.0000"
    assert Item.objects.get(sku="T30").title == "Tea 30"
    assert standing() == (32, 0, "")
    assert InboundSystem.objects.get().good_at is not None
    assert FeedItem.objects.count() == 31


def test_what_is_not_in_it_any_more_is_sold_out_until_it_comes_back(shop: Shop, settings: Settings) -> None:
    system_ask("shop")
    Item.objects.create(sku="elsewhere", title="Not of this feed")
    every = list(shop.items)
    shop.news(*every[:25])

    system_ask("shop")
    assert set(Item.objects.filter(in_stock=False).values_list("sku", flat=True)) == {f"T{n}" for n in range(25, 30)}
    shop.news(*every)
    assert system_ask("shop") == 5
    assert not Item.objects.filter(in_stock=False).exists()

    settings.INBOUND_SYSTEMS["shop"]["vanished"] = "keep"
    shop.news(*every[:25])
    system_ask("shop")
    assert not Item.objects.filter(in_stock=False).exists()


def test_a_feed_for_google_is_taken_like_any(shop: Shop, settings: Settings) -> None:
    mapping = {"what": "items", "number": "id", "title": "title", "price": "price", "in_stock": "availability"}
    terms = {"kind": "feed", "form": "xml", "url": shop.url, "mapping": mapping}
    settings.INBOUND_SYSTEMS = inbound_systems_read({"shop": terms})
    shop.written = GOOGLE.encode()

    assert system_ask("shop") == 2
    tea = Item.objects.get(sku="T-1")
    assert (tea.title, str(tea.price), tea.currency, tea.in_stock) == ("Assam & more", "15.0000", "EUR", True)
    assert not Item.objects.get(sku="T-2").in_stock
    shop.written, shop.etag = b"<!DOCTYPE x><x/>", '"2"'
    assert system_ask("shop") == 0
    assert standing() == (2, 1, "could not be asked: its XML has a document type, which is not taken")
    with pytest.raises(EnvError, match="form is one of"):
        inbound_systems_read({"shop": {**terms, "form": "yaml"}})


def test_a_feed_that_is_cut_short_sells_nothing_out(shop: Shop) -> None:
    system_ask("shop")
    shop.news(*shop.items[:10])

    assert system_ask("shop") == 0

    assert standing() == (30, 1, "could not be asked: far fewer items than before")
    assert not Item.objects.filter(in_stock=False).exists()
    shop.news(*[thing(number) for number in range(30)], thing(31))
    assert system_ask("shop") == 1
    assert standing() == (31, 0, "")


@pytest.mark.parametrize(
    ("failing", "items", "problem"),
    [
        (503, None, "503"),
        (404, None, "404"),
        ("cut", None, "connection_lost"),
        (0, {"a": 1}, "no list of things where items says"),
        (0, [1], "no list of things where items says"),
        (0, [{"name": "x"}], "no numbers where number says"),
    ],
)
def test_while_it_fails_the_catalog_stays(shop: Shop, failing: Any, items: Any, problem: str) -> None:
    system_ask("shop")
    shop.etag, shop.failing = '"2"', failing
    if items is not None:
        shop.items = items

    assert system_ask("shop") == 0

    assert standing() == (30, 1, f"could not be asked: {problem}")
    assert Item.objects.filter(in_stock=True).count() == 30
    assert InboundSystem.objects.get().cursor == {"etag": '"1"', "modified": ""}


def test_an_item_that_can_not_be_taken_is_set_aside_and_the_others_are_taken(shop: Shop) -> None:
    shop.items[3] = thing(3, price="much")

    assert system_ask("shop") == 30

    assert Item.objects.count() == 29
    assert InboundLetter.objects.get().reason == "inbound_body"


def test_stopped_by_staff_it_goes_on_later_with_what_is_left(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "_PORTION", 10)
    system_ask("shop")
    shop.news(*[thing(number, price="5.00") for number in range(30)])
    system_stop(code="shop", by=make_user("administrator"))

    system_ask("shop")
    assert Item.objects.filter(price=5).count() == 10
    InboundSystem.objects.update(stopped=False)
    system_ask("shop")
    assert Item.objects.filter(price=5).count() == 30


@pytest.mark.parametrize(
    "change", [{"vanished": "burn"}, {"since": "x"}, {"mapping": {"what": "people", "number": "id"}}, {"mapping": None}]
)
def test_a_feed_that_can_not_be_meant_stops_the_start(change: dict[str, Any]) -> None:
    terms = {"kind": "feed", "url": "https://a.example/feed", "mapping": MAPPING}
    assert inbound_systems_read({"x": terms})["x"]["every_seconds"] == 3_600
    with pytest.raises(ValueError, match="INBOUND_SYSTEMS: x"):
        inbound_systems_read({"x": {**terms, **change}})
