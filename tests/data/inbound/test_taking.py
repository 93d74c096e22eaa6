"""What other systems tell becomes people, orders, carts and tickets: once, and never an older state for a newer one."""

import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from pytest_django import Settings

from apps.data.catalog.models import Item
from apps.data.events.models import Event, Order, Ticket
from apps.data.inbound.models import InboundLetter, InboundMark, InboundSystem
from apps.data.inbound.privacy import _forget
from apps.data.inbound.services import body_take, letter_retry, system_go_on, system_stop
from apps.data.privacy.people import person_read
from apps.data.profiles.addresses import holders_of
from apps.data.profiles.models import Identifier, Profile
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, NotAllowed
from tests.factories import make_profile, make_user

from .test_bodies import SECRET, SHOPIFY_ORDER, ZENDESK

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def systems(settings: Settings) -> None:
    settings.INBOUND_SYSTEMS = {
        "shop": {"kind": "shopify", "secret": SECRET},
        "desk": {"kind": "zendesk", "secret": SECRET, "mapping": ZENDESK},
        "crm": {
            "kind": "webhook",
            "secret": SECRET,
            "mapping": {"what": "people", "number": "id", "at": "at", "email": "mail", "attributes": {"tier": "tier"}},
        },
    }


def told(code: str, body: Any, topic: str = "orders/updated") -> bool:
    return body_take(code=code, topic=topic, body=orjson.dumps(body))


def ago(**parts: int) -> str:
    return (now() - timedelta(**parts)).isoformat()


def order(**change: Any) -> dict[str, Any]:
    return {**SHOPIFY_ORDER, "created_at": ago(hours=2), "updated_at": ago(hours=1), **change}


def ticket(status: str, at: str, number: int = 1, email: str = "zoe@example.com") -> dict[str, Any]:
    return {"ticket": {"id": number, "status": status, "updated_at": at, "requester": {"email": email}}}


def test_an_order_makes_its_person_its_items_and_one_event() -> None:
    body = order()
    assert [told("shop", body) for _ in range(3)] == [True, True, True]

    kept = Order.objects.get()
    assert (kept.source, kept.external_id, kept.status, kept.revenue) == (
        "shop", "820982911946154508", "purchase", Decimal("44.80"),
    )  # fmt: skip
    assert list(kept.lines.order_by("number").values_list("number", "item__sku", "quantity", "is_purchase")) == [
        (1, "T1", 2, True),
        (2, "49148385", 1, True),
    ]
    person = Profile.objects.get()
    assert (kept.profile_id, person.first_name, person.source) == (person.pk, "Zoë", "shop")
    assert holders_of(kind="external_id", value="shop:115310627314723954") == [person.pk]
    assert not Identifier.objects.filter(verified=True).exists()
    assert list(Event.objects.order_by("pk").values_list("name", "profile_id")) == [
        ("Order Completed", person.pk),
        ("Order Updated", person.pk),
    ]
    assert kept.placed_at == datetime.fromisoformat(body["created_at"])
    system = InboundSystem.objects.get()
    assert (system.taken, system.set_aside, system.last_problem) == (3, 0, "")


def test_in_whatever_order_they_come_the_newest_holds() -> None:
    states = [
        order(updated_at=ago(minutes=50), financial_status="pending"),
        order(updated_at=ago(minutes=40)),
        order(updated_at=ago(minutes=30), line_items=[SHOPIFY_ORDER["line_items"][0]]),
        order(updated_at=ago(minutes=20), cancelled_at=ago(minutes=20)),
    ]
    placed = states[0]["created_at"]
    for number in range(6):
        mixed = [{**body, "id": number + 1, "created_at": placed} for body in (*states[:3], *states)]
        random.Random(number).shuffle(mixed)
        for body in mixed:
            assert told("shop", body)
        kept = Order.objects.get(external_id=str(number + 1))
        assert (kept.status, kept.lines.count(), kept.revenue) == ("cancelled", 1, Decimal(0))
        assert kept.placed_at == datetime.fromisoformat(placed)
    assert Profile.objects.count() == 1
    assert Event.objects.filter(name="Order Completed").count() == 6
    assert Event.objects.filter(name="Order Cancelled").count() == 6


def test_who_it_is_is_told_by_an_address_that_is_ones_own() -> None:
    known = make_profile(email="zoe@example.com")
    assert told("shop", order())
    assert Order.objects.get().profile_id == known.pk
    assert Profile.objects.count() == 1
    # somebody without any name, and a cart of nobody
    assert told("shop", order(id=2, email=None, customer=None))
    assert Order.objects.get(external_id="2").profile_id is None
    assert Order.objects.get(external_id="2").status == "other"
    assert told("shop", {"token": "c1", "updated_at": ago(minutes=1), "line_items": []}, "carts/update")
    assert Event.objects.get(name="Cart Updated").profile_id is None


def test_tickets_open_and_close_by_the_desks_own_clock() -> None:
    person = make_profile(email="zoe@example.com")
    opened, solved = ago(minutes=9), ago(minutes=5)
    assert told("desk", ticket("solved", solved))
    assert told("desk", ticket("open", opened))
    assert Ticket.objects.get().closed_at is not None
    assert told("desk", ticket("open", ago(minutes=1)))
    assert (Ticket.objects.get().closed_at, Ticket.objects.get().profile_id) == (None, person.pk)


def test_people_are_told_with_what_is_known_of_them() -> None:
    assert told("crm", {"id": 17, "at": ago(minutes=1), "mail": "zoe@example.com", "tier": "gold"})
    assert Profile.objects.get().attributes == {"tier": "gold"}
    assert holders_of(kind="external_id", value="crm:17") == [Profile.objects.get().pk]


def test_prices_and_stock_come_into_the_catalog_and_what_is_not_named_stays(settings: Settings) -> None:
    mapping = {"what": "items", "number": "sku", "at": "at", "price": "price", "in_stock": "left", "title": "name"}
    settings.INBOUND_SYSTEMS["feed"] = {"kind": "webhook", "secret": SECRET, "mapping": mapping}
    assert told("feed", {"sku": "T1", "at": ago(minutes=9), "price": "9.90", "left": 3, "name": "Tea"})
    assert told("feed", {"sku": "T1", "at": ago(minutes=5), "left": "0"})
    assert told("feed", {"sku": "T1", "at": ago(minutes=7), "price": 1, "left": 1})

    item = Item.objects.get()
    assert (item.sku, item.title, item.price, item.in_stock) == ("T1", "Tea", Decimal("9.9"), False)
    for price in ("dear", "NaN", "Infinity", "-1", 10**10):
        assert told("feed", {"sku": "T1", "at": ago(minutes=1), "price": price}) is False
    assert told("feed", {"sku": "T2", "at": ago(minutes=1), "left": "in stock"})
    assert Item.objects.get(sku="T2").in_stock


def test_what_an_item_costs_comes_in_the_currency_of_its_price(settings: Settings) -> None:
    mapping = {"what": "items", "number": "sku", "at": "at", "price": "price", "cost": "cost_of_goods_sold"}
    settings.INBOUND_SYSTEMS["feed"] = {"kind": "webhook", "secret": SECRET, "mapping": mapping}
    row = {"sku": "T1", "price": "9.90 EUR"}
    assert told("feed", {**row, "at": ago(minutes=9), "cost_of_goods_sold": "4.20 EUR"})
    for cost in ("4.40 CHF", "cheap", "NaN", "-1"):
        assert told("feed", {**row, "at": ago(minutes=8), "cost_of_goods_sold": cost}) is False
    item = Item.objects.get()
    assert (item.price, item.cost, item.currency) == (Decimal("9.9"), Decimal("4.2"), "EUR")
    assert told("feed", {"sku": "T1", "at": ago(minutes=8), "price": "", "cost_of_goods_sold": ""})
    assert Item.objects.get().cost == item.cost, "a column that is empty says nothing"
    assert told("feed", {**row, "at": ago(minutes=7), "price": "9.50 CHF"})
    assert Item.objects.get().cost is None, "what it cost in another currency is not what it costs"


@pytest.mark.parametrize(
    ("code", "body", "reason"),
    [
        ("shop", order(updated_at="2999-01-01T00:00:00Z"), "inbound_in_future"),
        ("shop", order(email="not an address"), "email_invalid"),
        ("desk", ticket("open", "2026-11-20T09:00:00Z", email=""), "inbound_nobody"),
        ("shop", [1, 2], "inbound_body"),
    ],
)
def test_what_can_not_be_taken_is_set_aside_whole_and_changes_nothing(code: str, body: Any, reason: str) -> None:
    assert told(code, body) is False

    letter = InboundLetter.objects.get()
    assert (letter.reason, letter.tries) == (reason, 1)
    assert b"zoe@example.com" not in bytes(letter.sealed)
    assert (Profile.objects.count(), Order.objects.count(), Event.objects.count()) == (0, 0, 0)
    assert not InboundMark.objects.exists()
    system = InboundSystem.objects.get(code=code)
    assert (system.taken, system.set_aside, system.last_problem.startswith(reason)) == (0, 1, True)


def test_a_letter_is_taken_once_it_can_be_and_no_json_is_kept_too() -> None:
    engineer = make_user("engineer")
    one, other = make_profile(email="zoe@example.com"), make_profile(email="zoe@example.com")
    assert told("desk", ticket("open", ago(minutes=1))) is False
    assert body_take(code="shop", topic="orders/create", body=b"{") is False
    letter = InboundLetter.objects.get(reason="identifier_ambiguous")

    with pytest.raises(NotAllowed):
        letter_retry(letter_id=letter.pk, by=make_user("analyst"))
    assert letter_retry(letter_id=letter.pk, by=engineer) is False
    letter.refresh_from_db()
    assert letter.tries == 2
    Identifier.objects.filter(profile=other).delete()
    assert letter_retry(letter_id=letter.pk, by=engineer) is True
    assert Ticket.objects.get().profile_id == one.pk
    assert list(InboundLetter.objects.values_list("reason", flat=True)) == ["json_invalid"]


def test_a_stopped_system_is_told_to_come_again() -> None:
    engineer = make_user("engineer")
    with pytest.raises(NotAllowed):
        system_stop(code="shop", by=make_user("analyst"))
    system_stop(code="shop", by=engineer)
    with pytest.raises(Conflict):
        told("shop", order())
    assert Order.objects.count() == 0
    system_go_on(code="shop", by=engineer)
    assert told("shop", order())


def test_erasing_a_person_takes_letters_that_name_them_and_marks_of_theirs() -> None:
    assert told("crm", {"id": 17, "at": ago(minutes=1), "mail": "zoe@example.com"})
    assert told("shop", order(line_items=[{"price": "x"}])) is False
    assert told("shop", order(email="other@example.com", customer={}, line_items=[{"price": "x"}])) is False
    person = Profile.objects.get()

    gone = _forget(person_read(person.pk))
    assert gone.count == 2
    assert InboundLetter.objects.count() == 1
    assert not InboundMark.objects.exists()
