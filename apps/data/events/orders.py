"""Orders from events: what shops tell by Segment's names (Order Completed, Updated, Refunded, Cancelled) makes the
same rows as an import, so that features and recommendations follow from either.

An order is what all that was told of it comes to, in whatever order it arrived and however often: each message stands
in `Order.told` once, and the row and its lines are made of that anew. Source:
https://segment.com/docs/connections/spec/ecommerce/v2/#order-completed, and of the same page Order Updated, Order
Refunded and Order Cancelled.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db import connection, transaction

from apps.data.catalog.models import Item

from .contracts import RecordedEvent
from .models import Order, OrderLine

COMPLETED, UPDATED, REFUNDED, CANCELLED = "Order Completed", "Order Updated", "Order Refunded", "Order Cancelled"
ORDER_EVENTS: Final = frozenset({COMPLETED, UPDATED, REFUNDED, CANCELLED})
MOST_LINES: Final = 500
"""Products of one order that are looked at."""
_MOST_MESSAGES: Final = 200
"""Messages about one order that are kept: what comes beyond changes nothing."""
_MOST: Final = 10**9
_KEPT: Final = "kept"  # under this id stands what an import had told before

orders_steps: list[Callable[[Sequence[int]], None]] = []
"""Called with the people whose orders were changed by events, in the transaction that changes them."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it comes out. price: of one, in the order's currency."""

    sku: str
    quantity: int
    price: Decimal


@dataclass(frozen=True, slots=True)
class Outcome:
    """What all that was told of an order comes to. revenue: as the shop told it, for orders whose lines have no
    prices."""

    placed_at: datetime
    cancelled: bool
    currency: str
    lines: tuple[Line, ...]
    revenue: Decimal


def orders_follow(events: Sequence[RecordedEvent]) -> None:
    """Make orders of the events among these that tell of some, in their transaction. Never raises for what they say.

    A step of `registry`, also for events that get their person later.
    """
    news: dict[tuple[str, str], list[RecordedEvent]] = defaultdict(list)
    for event in events:
        if event.name in ORDER_EVENTS and (number := _number(event.properties)):
            news[event.source, number].append(event)
    if not news:
        return
    with transaction.atomic():
        changed = _orders_change(dict(sorted(news.items())))
    if changed:
        for step in orders_steps:
            step(sorted(changed))


def _orders_change(news: Mapping[tuple[str, str], Sequence[RecordedEvent]]) -> set[int]:
    """Take news into orders, and write them. Returns whose they are and were."""
    Order.objects.bulk_create(
        [
            Order(
                source=source,
                external_id=number,
                profile_id=told[0].profile_id,
                status=Order.Status.OTHER,
                placed_at=told[0].occurred_at,
                recorded_at=told[0].recorded_at,
                told={},
            )
            for (source, number), told in news.items()
        ],
        ignore_conflicts=True,
    )
    orders = {
        (order.source, order.external_id): order
        for order in Order.objects.select_for_update()
        .filter(source__in={source for source, _ in news}, external_id__in={number for _, number in news})
        .order_by("source", "external_id")
        if (order.source, order.external_id) in news
    }
    before = {key: order.profile_id for key, order in orders.items()}
    there = [order.pk for order in orders.values() if order.told != {}]  # the others have no lines yet
    outcomes: dict[int, Outcome] = {}
    for key, order in orders.items():
        if order.told is None:  # an import's: what it told stays what the order was at first
            order.told = {_KEPT: _told_before(order)}
        for event in news[key]:
            if event.profile_id is not None:
                order.profile_id = event.profile_id
            if len(order.told) < _MOST_MESSAGES:
                order.told.setdefault(event.message_id, _message(event))
        outcomes[order.pk] = outcome_of(order.told)
    items = _items(outcomes.values(), news)
    lines: list[OrderLine] = []
    for order in orders.values():
        lines += _write(order, outcomes[order.pk], items)
    if there:
        OrderLine.objects.filter(order__in=there).delete()
    OrderLine.objects.bulk_create(lines)
    _orders_write(list(orders.values()))
    return {one for key, order in orders.items() for one in (before[key], order.profile_id) if one is not None}


_ORDERS_WRITE: Final = """
UPDATE events_order AS kept
SET profile_id = new.profile_id, status = new.status, placed_at = new.placed_at, currency = new.currency,
    revenue = new.revenue, told = new.told::jsonb
FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::timestamptz[], %s::text[], %s::numeric[], %s::text[])
     AS new(id, profile_id, status, placed_at, currency, revenue, told)
WHERE kept.id = new.id
"""


def _orders_write(orders: Sequence[Order]) -> None:
    """Write what orders have come to. The hot path: `bulk_update` takes 20 times as long."""
    rows = [
        (one.pk, one.profile_id, str(one.status), one.placed_at, one.currency, one.revenue, json.dumps(one.told))
        for one in orders
    ]
    with connection.cursor() as cursor:
        cursor.execute(_ORDERS_WRITE, [list(column) for column in zip(*rows, strict=True)])


def outcome_of(told: Mapping[str, Mapping[str, Any]]) -> Outcome:
    """What messages come to, whatever the order they are in: the newest telling of its lines counts, less what was
    refunded of them; cancelled once is cancelled, and so is refunded as a whole."""
    messages = sorted(told.items(), key=lambda one: (one[1]["at"], one[0]))
    tellings = [one for _, one in messages if one["kind"] in (COMPLETED, UPDATED)]
    first = next((one for one in tellings if one["kind"] == COMPLETED), messages[0][1])
    newest = tellings[-1] if tellings else messages[0][1]
    refunds = [one for _, one in messages if one["kind"] == REFUNDED]
    cancelled = any(one["kind"] == CANCELLED for _, one in messages) or any(not one["lines"] for one in refunds)
    returned: dict[str, int] = defaultdict(int)
    for one in refunds:
        for sku, quantity, _ in one["lines"]:
            returned[sku] += quantity
    lines = []
    for sku, quantity, price in newest["lines"]:
        back = min(returned[sku], max(quantity, 0))
        returned[sku] -= back
        lines.append(Line(sku, quantity - back, Decimal(price)))
    return Outcome(
        placed_at=datetime.fromisoformat(first["at"]),
        cancelled=cancelled,
        currency=newest["currency"],
        lines=tuple(lines),
        revenue=Decimal(newest["revenue"]),
    )


def _write(order: Order, outcome: Outcome, items: Mapping[str, int]) -> list[OrderLine]:
    """Give an order its outcome; returns its lines, for the caller to write."""
    known = order.profile_id is not None and not outcome.cancelled
    bought = [known and line.quantity > 0 and line.price > 0 for line in outcome.lines]
    order.placed_at, order.currency = outcome.placed_at, outcome.currency
    order.revenue = sum(
        (line.quantity * line.price for line, counts in zip(outcome.lines, bought, strict=True) if counts), Decimal(0)
    )
    unpriced = known and not any(line.price for line in outcome.lines) and outcome.revenue > 0
    if unpriced:
        order.revenue = outcome.revenue
    order.status = Order.Status.PURCHASE if unpriced or any(bought) else Order.Status.OTHER
    if outcome.cancelled:
        order.status = Order.Status.CANCELLED
    return [
        OrderLine(
            order=order,
            number=number,
            item_id=items[line.sku],
            quantity=line.quantity,
            unit_price=line.price,
            is_purchase=counts or (unpriced and line.quantity > 0),
        )
        for number, (line, counts) in enumerate(zip(outcome.lines, bought, strict=True), 1)
    ]


def _items(outcomes: Any, news: Mapping[tuple[str, str], Sequence[RecordedEvent]]) -> dict[str, int]:
    """The ids of items by number. One that the catalog does not have comes into it with what the event says of it."""
    wanted = {line.sku for outcome in outcomes for line in outcome.lines}
    items = dict(Item.objects.filter(sku__in=wanted).values_list("sku", "pk"))
    if wanted <= items.keys():
        return items
    said: dict[str, Mapping[str, Any]] = {}
    for event in (event for told in news.values() for event in told):
        for product in _products(event.properties):
            said.setdefault(_sku(product), product)
    Item.objects.bulk_create(
        [
            Item(
                sku=sku,
                title=_text(said.get(sku, {}).get("name"), 300),
                category=_text(said.get(sku, {}).get("category"), 120),
                url=_address(said.get(sku, {}).get("url")),
                image_url=_address(said.get(sku, {}).get("image_url")),
                recommendable=False,  # until its shop or somebody says what it is: this came by the way
            )
            for sku in sorted(wanted - items.keys())
        ],
        ignore_conflicts=True,
    )
    return dict(Item.objects.filter(sku__in=wanted).values_list("sku", "pk"))


# --- what an event says, as far as it can be used ---


def _message(event: RecordedEvent) -> dict[str, Any]:
    lines = [
        (sku, _quantity(product.get("quantity")), str(_amount(product.get("price"))))
        for product in _products(event.properties)
        if (sku := _sku(product))
    ]
    revenue = next(
        (event.properties[name] for name in ("revenue", "subtotal", "total") if event.properties.get(name)), 0
    )
    currency = _text(event.properties.get("currency"), 3).upper()
    return {
        "kind": event.name,
        "at": event.occurred_at.isoformat(),
        "lines": [list(line) for line in lines],
        "currency": currency if len(currency) == 3 else "",
        "revenue": str(_amount(revenue)),
    }


def _told_before(order: Order) -> dict[str, Any]:
    lines = order.lines.order_by("number").values_list("item__sku", "quantity", "unit_price")
    return {
        "kind": CANCELLED if order.status == Order.Status.CANCELLED else COMPLETED,
        "at": order.placed_at.isoformat(),
        "lines": [[sku, quantity, str(price)] for sku, quantity, price in lines],
        "currency": order.currency,
        "revenue": str(order.revenue),
    }


def _number(properties: Mapping[str, Any]) -> str:
    """The order's number; "" where there is none that could be kept."""
    for name in ("order_id", "orderId"):
        value = properties.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool):
            text = str(value).strip()
            return text if len(text) <= 80 and "\0" not in text else ""
    return ""


def _products(properties: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = properties.get("products")
    found = listed if isinstance(listed, list) else []
    return [one for one in found[:MOST_LINES] if isinstance(one, Mapping)]


def _sku(product: Mapping[str, Any]) -> str:
    for name in ("sku", "product_id", "id"):
        value = product.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and (text := str(value).strip()):
            return text if len(text) <= 80 and "\0" not in text else ""
    return ""


def _quantity(value: Any) -> int:
    """How many; one, where it is not said."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 1
    return int(value) if abs(value) < _MOST else 0


def _amount(value: Any) -> Decimal:
    """An amount with four places, 0 where there is none."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return Decimal(0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) >= _MOST:
        return Decimal(0)
    return round(Decimal(repr(value)), 4)


def _text(value: Any, longest: int) -> str:
    return value.replace("\0", "").strip()[:longest] if isinstance(value, str) else ""


def _address(value: Any) -> str:
    text = _text(value, 1001)
    return text if text.startswith(("https://", "http://")) and len(text) <= 1000 else ""
