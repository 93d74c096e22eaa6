"""Features of people, as they were known at a moment."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.data.catalog.models import Item
from apps.data.events.models import Order, OrderLine
from apps.data.features.definitions import CONTEXT_FEATURES, FEATURES, ITEM_FEATURES, RECENT_LINES
from apps.data.features.selectors import features_read
from apps.data.profiles.models import Profile
from apps.foundation.core.errors import Invalid
from tests.factories import make_profile

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)
_number = count(1)


def make_item(sku: str, category: str = "") -> Item:
    return Item.objects.create(sku=sku, title=sku, category=category)


def make_order(
    profile: Profile, placed_at: datetime, *items: Item, status: str = "purchase", returned: int = 0
) -> Order:
    order = Order.objects.create(
        source="test",
        external_id=str(next(_number)),
        profile=profile,
        placed_at=placed_at,
        status=status,
        revenue=10 * len(items),
    )
    for number, item in enumerate(items, 1):
        OrderLine.objects.create(
            order=order, number=number, item=item, quantity=1, unit_price=10, is_purchase=number > returned
        )
    return order


OF_ORDERS = ["orders_count", "last_order_at", "days_since_last_order", "lifetime_value", "top_category", "recent_items"]


def test_every_feature_says_what_it_is() -> None:
    every = {**FEATURES, **ITEM_FEATURES, **CONTEXT_FEATURES}
    assert len(every) == len(FEATURES) + len(ITEM_FEATURES) + len(CONTEXT_FEATURES), "one name for each"
    assert all(feature.owner and feature.description.endswith(".") for feature in every.values())
    assert all(name == feature.name for name, feature in every.items())


@pytest.mark.django_db
def test_features_of_a_batch_in_one_statement() -> None:
    lamp, tea, cup = make_item("lamp", "Lamps"), make_item("tea", "Tea"), make_item("cup", "Tea")
    buyer, stranger = make_profile(), make_profile()
    make_order(buyer, NOON - 3 * DAY, lamp, tea)
    make_order(buyer, NOON - 2 * DAY, tea, cup)
    make_order(buyer, NOON - DAY, lamp, status="cancelled")
    with CaptureQueriesContext(connection) as queries:
        read = features_read(profile_ids=[buyer.pk, stranger.pk], names=OF_ORDERS, as_of=NOON)
    assert len(queries) == 1
    assert read == {
        buyer.pk: {
            "orders_count": 2,
            "last_order_at": NOON - 2 * DAY,
            "days_since_last_order": 2,
            "lifetime_value": Decimal(40),
            "top_category": "Tea",
            "recent_items": [tea.pk, cup.pk, lamp.pk],
        },
        stranger.pk: {
            "orders_count": 0,
            "last_order_at": None,
            "days_since_last_order": None,
            "lifetime_value": Decimal(0),
            "top_category": "",
            "recent_items": [],
        },
    }


@pytest.mark.django_db
def test_later_orders_leave_an_earlier_moment_as_it_was() -> None:
    lamp, tea = make_item("lamp", "Lamps"), make_item("tea", "Tea")
    buyer = make_profile()
    make_order(buyer, NOON, lamp)
    before = features_read(profile_ids=[buyer.pk], names=list(FEATURES), as_of=NOON)
    make_order(buyer, NOON + timedelta(seconds=1), tea, tea, tea)
    assert features_read(profile_ids=[buyer.pk], names=list(FEATURES), as_of=NOON) == before
    after = features_read(profile_ids=[buyer.pk], names=["top_category", "recent_items"], as_of=NOON + DAY)
    assert after == {buyer.pk: {"top_category": "Tea", "recent_items": [tea.pk, lamp.pk]}}


@pytest.mark.django_db
def test_returns_and_equals() -> None:
    lamp, tea, postage = make_item("lamp", "Lamps"), make_item("tea", "Tea"), make_item("postage")
    buyer = make_profile()
    make_order(buyer, NOON - 900 * DAY, tea, tea)  # outside the window of top_category
    make_order(buyer, NOON, postage, tea, lamp, returned=1)
    read = features_read(profile_ids=[buyer.pk], names=["top_category", "recent_items"], as_of=NOON)
    assert read == {buyer.pk: {"top_category": "Lamps", "recent_items": [tea.pk, lamp.pk]}}


@pytest.mark.django_db
def test_recent_items_look_at_so_many_lines() -> None:
    items = [make_item(f"sku-{number}") for number in range(RECENT_LINES + 5)]
    buyer = make_profile()
    make_order(buyer, NOON - DAY, *items[:10])
    make_order(buyer, NOON, *items[10:])
    read = features_read(profile_ids=[buyer.pk], names=["recent_items"], as_of=NOON)
    assert read[buyer.pk]["recent_items"] == [item.pk for item in items[10:] + items[:5]]


@pytest.mark.django_db
def test_a_default_is_nobodys_to_change() -> None:
    profile = make_profile()
    for _ in range(2):
        value = features_read(profile_ids=[profile.pk], names=["recent_items"], as_of=NOON)[profile.pk]["recent_items"]
        assert value == []
        assert isinstance(value, list)
        value.append(1)


@pytest.mark.django_db
def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(Invalid, match="There is no feature 'shoe_size'"):
        features_read(profile_ids=[1], names=["shoe_size"], as_of=NOON)
