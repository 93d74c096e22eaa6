"""Features of items and of the moment."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from apps.data.catalog.models import Item
from apps.data.features.definitions import CONTEXT_FEATURES, ITEM_FEATURES
from apps.data.features.entities import context_read, items_read
from apps.foundation.core.errors import Invalid
from tests.data.features.happenings import AS_OF, DAY, Ordered, order_place
from tests.factories import make_profile

ITEMS, CONTEXT = list(ITEM_FEATURES), list(CONTEXT_FEATURES)


@pytest.mark.django_db
def test_items() -> None:
    priced = [
        Item.objects.create(sku=str(price), price=price, currency="EUR", created_at=AS_OF - price * DAY)
        for price in (1, 2, 3, 4, 5, 5, 5, 8, 9, 10)[::3]
    ]
    unpriced = Item.objects.create(sku="Tea", category="Tea", created_at=AS_OF + DAY)
    person = make_profile(email=None).pk
    lines = (("Tea", True), ("Tea", True))
    for days_ago in (0, 7, 14, -1):
        order_place([person], Ordered(0, AS_OF - days_ago * DAY, Decimal(1), lines))
    order_place([person], Ordered(0, AS_OF, Decimal(1), lines, status="cancelled"))
    order_place([person], Ordered(0, AS_OF, Decimal(1), (("Tea", False),)))
    read = items_read(item_ids=[unpriced.pk, *(item.pk for item in priced), 0], names=ITEMS, as_of=AS_OF)
    assert read[unpriced.pk] == {"price_bucket": 0, "popularity": Decimal("1.75"), "freshness_days": None}
    assert [read[item.pk]["price_bucket"] for item in priced] == [1, 2, 3, 4]
    assert [read[item.pk]["freshness_days"] for item in priced] == [1, 4, 5, 10]
    assert read[0] == {"price_bucket": 0, "popularity": 0, "freshness_days": None}


def test_the_moment_where_somebody_is() -> None:
    at = datetime(2026, 5, 3, 23, 30, tzinfo=UTC)
    assert context_read(names=CONTEXT, at=at, zone="Europe/Berlin") == {"hour": 1, "weekday": 1}
    assert context_read(names=CONTEXT, at=at + timedelta(hours=1), zone="UTC") == {"hour": 0, "weekday": 1}


@pytest.mark.django_db
def test_unknown_names_are_refused() -> None:
    with pytest.raises(Invalid, match="no feature 'hour'"):
        items_read(item_ids=[1], names=["hour"], as_of=AS_OF)
    with pytest.raises(Invalid, match="no feature 'popularity'"):
        context_read(names=["popularity"], at=AS_OF, zone="UTC")
