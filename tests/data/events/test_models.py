"""What the database holds about events and orders."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from apps.data.catalog.models import Item
from apps.data.events.models import EventSchema, EventSchemaVersion, MessageSeen, Order, OrderLine
from apps.foundation.core.clock import now


def make_order(**fields: object) -> Order:
    return Order.objects.create(
        **{"source": "shop", "external_id": "1001", "status": "purchase", "placed_at": now(), **fields}
    )


@pytest.mark.django_db
def test_a_message_is_noted_once_a_day() -> None:
    MessageSeen.objects.create(day=date(2026, 1, 2), digest=UUID(int=1))

    with pytest.raises(IntegrityError), transaction.atomic():
        MessageSeen.objects.create(day=date(2026, 1, 2), digest=UUID(int=1))

    assert MessageSeen.objects.count() == 1


@pytest.mark.django_db
def test_a_version_of_a_schema_is_there_once() -> None:
    schema = EventSchema.objects.create(name="Kettle Boiled", on_fault="keep")
    EventSchemaVersion.objects.create(schema=schema, number=1, document={})

    with pytest.raises(IntegrityError), transaction.atomic():
        EventSchemaVersion.objects.create(schema=schema, number=1, document={})


@pytest.mark.django_db
def test_an_order_number_is_there_once_for_each_source() -> None:
    make_order()
    make_order(source="till")

    with pytest.raises(IntegrityError), transaction.atomic():
        make_order()

    assert Order.objects.count() == 2


@pytest.mark.django_db
def test_an_order_without_a_known_customer_is_kept() -> None:
    order = make_order(profile=None, status="other")

    assert Order.objects.get(pk=order.pk).profile is None


@pytest.mark.django_db
def test_lines_are_counted_and_their_items_stay() -> None:
    order, item = make_order(), Item.objects.create(sku="KIT-001")
    line = {"order": order, "item": item, "quantity": 2, "unit_price": Decimal("12.5000"), "is_purchase": True}
    OrderLine.objects.create(number=1, **line)

    with pytest.raises(IntegrityError), transaction.atomic():
        OrderLine.objects.create(number=1, **line)
    with pytest.raises(ProtectedError), transaction.atomic():
        item.delete()

    assert list(order.lines.values_list("number", "item__sku")) == [(1, "KIT-001")]
