"""Orders from events: the same rows whatever the order and the number of times in which messages come."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from django.db import transaction

from apps.data.catalog.models import Item
from apps.data.events.contracts import RecordedEvent
from apps.data.events.models import Order, OrderLine
from apps.data.events.orders import orders_follow
from apps.data.features.selectors import features_read
from apps.data.profiles.addresses import identifier_put
from apps.foundation.core.clock import now
from tests.factories import make_profile

from .conftest import Send, Take

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
PRODUCTS = [
    {"product_id": "507f", "sku": "45790-32", "name": "Monopoly", "price": 19, "quantity": 1, "category": "Games"},
    {"product_id": "505b", "sku": "46493-32", "name": "Uno", "price": 3, "quantity": 2, "category": "Games"},
]


def told(name: str, minutes: int, message: str, profile_id: int | None, **properties: Any) -> RecordedEvent:
    at = NOON + timedelta(minutes=minutes)
    return RecordedEvent(profile_id, name, at, now(), message, {"order_id": "50314b", **properties}, "shop")


def outcome() -> Any:
    order = Order.objects.get()
    lines = OrderLine.objects.filter(order=order).order_by("number")
    return (
        *(order.profile_id, order.status, order.placed_at, order.currency, order.revenue),
        [(line.item.sku, line.quantity, line.unit_price, line.is_purchase) for line in lines],
    )


@pytest.mark.django_db
def test_segments_order_completed_becomes_an_order_that_features_see_at_once(send: Send, take: Take) -> None:
    person = make_profile(email=None)
    identifier_put(profile_id=person.pk, kind="external_id", value="shop:u-1")
    call = {
        "type": "track",
        "event": "Order Completed",
        "userId": "u-1",
        "properties": {"order_id": "50314b", "revenue": 25, "currency": "usd", "products": PRODUCTS},
    }
    before = features_read(profile_ids=[person.pk], names=["orders_count", "lifetime_value"], as_of=now())

    send({**call, "messageId": "m-1"}, {**call, "messageId": "m-2"})
    came = take()
    send({**call, "messageId": "m-1"}, {**call, "messageId": "m-3"})
    take()

    assert came.dead == 0
    _, status, _, currency, revenue, lines = outcome()
    assert (status, currency, revenue) == ("purchase", "USD", Decimal(25))
    assert lines == [("45790-32", 1, Decimal(19), True), ("46493-32", 2, Decimal(3), True)]
    assert Order.objects.get().source == "shop"
    assert list(Item.objects.order_by("sku").values_list("title", "category", "recommendable")) == [
        ("Monopoly", "Games", False),
        ("Uno", "Games", False),
    ]
    assert before[person.pk] == {"orders_count": 0, "lifetime_value": Decimal(0)}
    names = ["orders_count", "lifetime_value", "top_category", "lifecycle_stage"]
    assert features_read(profile_ids=[person.pk], names=names, as_of=now())[person.pk] == {
        "orders_count": 1,
        "lifetime_value": Decimal(25),
        "top_category": "Games",
        "lifecycle_stage": "new",
    }


@pytest.mark.django_db
def test_any_order_of_arrival_in_any_batches_comes_to_the_same() -> None:
    person = make_profile(email=None)
    news = [
        told("Order Completed", 0, "a", person.pk, currency="EUR", products=PRODUCTS),
        told("Order Updated", 5, "b", None, currency="EUR", products=[{**PRODUCTS[0], "quantity": 3}, PRODUCTS[1]]),
        told("Order Refunded", 9, "c", person.pk, products=[{"sku": "45790-32", "quantity": 1}]),
        told("Order Completed", 0, "a", person.pk, currency="EUR", products=PRODUCTS),
    ]
    expected = (
        *(person.pk, "purchase", NOON, "EUR", Decimal(44)),
        [("45790-32", 2, Decimal(19), True), ("46493-32", 2, Decimal(3), True)],
    )
    for way in permutations(news):
        for cut in (1, 2, 4):
            with transaction.atomic():
                for begin in range(0, len(way), cut):
                    orders_follow(way[begin : begin + cut])
                assert outcome() == expected
                transaction.set_rollback(True)


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["Order Cancelled", "Order Refunded"])
def test_what_is_cancelled_or_refunded_as_a_whole_is_no_purchase_also_if_told_first(name: str) -> None:
    person = make_profile(email=None)
    ended = told(name, 30, "b", person.pk)
    done = told("Order Completed", 0, "a", person.pk, products=PRODUCTS)
    for way in ([ended, done], [done, ended]):
        with transaction.atomic():
            for one in way:
                orders_follow([one])
            assert outcome()[:5] == (person.pk, "cancelled", NOON, "", Decimal(0))
            assert [line[3] for line in outcome()[5]] == [False, False]
            transaction.set_rollback(True)


@pytest.mark.django_db
def test_an_imported_order_is_the_same_order_and_keeps_its_lines() -> None:
    person = make_profile(email=None)
    order = Order.objects.create(
        source="shop", external_id="50314b", profile=person, status="purchase", placed_at=NOON, revenue=8
    )
    OrderLine.objects.create(
        order=order, number=1, item=Item.objects.create(sku="TEA"), quantity=2, unit_price=4, is_purchase=True
    )

    orders_follow([told("Order Refunded", 60, "r", None, products=[{"sku": "TEA", "quantity": 1}])])

    assert outcome() == (person.pk, "purchase", NOON, "", Decimal(4), [("TEA", 1, Decimal(4), True)])


@pytest.mark.django_db
@pytest.mark.parametrize(
    "properties",
    [
        {"order_id": None},
        {"order_id": "x" * 81},
        {"order_id": ["50314b"]},
        {"products": "none"},
        {"products": [None, 5, {"sku": {"a": 1}}, {"sku": "x" * 81}, {"sku": "A\0"}]},
        {"products": [{"sku": "A", "price": "lots", "quantity": 1e300}, {"sku": "B", "price": -5, "quantity": "2"}]},
        {"products": [{"sku": "A", "price": 1e308, "quantity": True}], "revenue": "x", "currency": 5},
        {"products": [{"sku": "A", "url": "javascript:alert(1)", "name": ["x"]}] * 600},
    ],
)
def test_what_can_not_be_read_stops_nothing(properties: dict[str, Any]) -> None:
    event = told("Order Completed", 0, "a", make_profile(email=None).pk, **properties)

    orders_follow([event])

    assert Order.objects.filter(status="purchase").count() == 0
    assert not Item.objects.exclude(url="").exists()


@pytest.mark.django_db
def test_an_order_of_a_device_is_its_persons_once_they_are_known(send: Send, take: Take) -> None:
    person = make_profile(email=None)
    identifier_put(profile_id=person.pk, kind="external_id", value="shop:u-1")
    call = {"type": "track", "event": "Order Completed", "anonymousId": "device-1"}
    send({**call, "messageId": "m-1", "properties": {"order_id": "50314b", "products": PRODUCTS}})
    take()
    assert outcome()[:2] == (None, "other")

    send({"type": "identify", "userId": "u-1", "anonymousId": "device-1", "messageId": "m-2"})
    take()

    assert outcome()[:2] == (person.pk, "purchase")
