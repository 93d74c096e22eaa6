"""What people do, drawn at random, and written down as it would be."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

from django.db import transaction
from django.test import TestCase
from hypothesis import strategies as st

from apps.data.catalog.models import Item
from apps.data.events.contracts import RecordedEvent
from apps.data.events.models import Event, Order, OrderLine
from apps.data.events.services import events_follow
from apps.data.features.definitions import EVENT_NAMES

AS_OF = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)
_number = count(1)


@dataclass(frozen=True)
class Did:
    """An event of somebody, by their place among the people of an example."""

    who: int
    name: str
    at: datetime


@dataclass(frozen=True)
class Ordered:
    """An order of somebody. lines: category, and whether it was bought."""

    who: int
    at: datetime
    revenue: Decimal
    lines: tuple[tuple[str, bool], ...] = ()
    status: str = "purchase"


# Around the edges of windows and of days, and the five minutes that a clock may be ahead.
moments = st.builds(
    lambda days, shift: AS_OF - days * DAY + timedelta(seconds=shift),
    st.sampled_from([0, 1, 6, 7, 29, 30, 89, 90, 364, 365, 729, 730]),
    st.sampled_from([0, -1, 1, -43_200, -43_201, 43_199, 300]),
).map(lambda moment: min(moment, AS_OF + timedelta(minutes=5)))
whos = st.integers(0, 1)
dids = st.builds(Did, whos, st.sampled_from([*EVENT_NAMES, "Something Else", "email opened"]), moments)
ordered = st.builds(
    Ordered,
    whos,
    moments,
    st.decimals(0, 10_000, places=4),
    st.lists(st.tuples(st.sampled_from(["Tea", "Lamps", "é", ""]), st.booleans()), max_size=3).map(tuple),
    st.sampled_from(["purchase", "purchase", "cancelled"]),
)


@contextmanager
def kept_apart() -> Iterator[None]:
    """What one example writes is gone for the next."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def events_happen(people: Sequence[int], dids: Sequence[Did], recorded_at: datetime = AS_OF) -> None:
    """Record events in one micro-batch, and do what follows its commit."""
    with TestCase.captureOnCommitCallbacks(execute=True):
        events = [RecordedEvent(people[did.who], did.name, did.at, recorded_at, str(next(_number)), {}) for did in dids]
        Event.objects.bulk_create(
            Event(
                profile_id=event.profile_id,
                name=event.name,
                occurred_at=event.occurred_at,
                recorded_at=recorded_at,
                message_id=event.message_id,
            )
            for event in events
        )
        if events:
            events_follow(events)


def order_place(people: Sequence[int], order: Ordered, recorded_at: datetime = AS_OF) -> Order:
    """Write an order down, as an import does; whoever writes it tells features (`orders_changed`)."""
    made = Order.objects.create(
        source="test",
        external_id=str(next(_number)),
        profile_id=people[order.who],
        status=order.status,
        placed_at=order.at,
        revenue=order.revenue,
        recorded_at=recorded_at,
    )
    for number, (category, bought) in enumerate(order.lines, 1):
        item, _ = Item.objects.get_or_create(sku=category or "none", category=category)
        OrderLine.objects.create(order=made, number=number, item=item, quantity=1, unit_price=1, is_purchase=bought)
    return made
