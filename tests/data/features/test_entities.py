"""Features of items and of the moment."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.data.catalog.models import Item, Promotion
from apps.data.consent.models import Preference
from apps.data.features.definitions import CONTEXT_FEATURES, ITEM_FEATURES
from apps.data.features.entities import context_read, items_read, margin
from apps.foundation.core.errors import Invalid
from tests.data.features.happenings import AS_OF, DAY, Ordered, order_place
from tests.examples import tries
from tests.factories import make_profile

ITEMS, CONTEXT = list(ITEM_FEATURES), list(CONTEXT_FEATURES)


@pytest.mark.django_db
def test_items(django_assert_num_queries: Any) -> None:
    for price in (1, 2, 3, 4, 5, 5, 5, 8, 9, 10)[::3]:
        Item.objects.create(sku=str(price), price=price, cost=3, currency="EUR", created_at=AS_OF - price * DAY)
    Item.objects.create(sku="Tea", category="Tea", created_at=AS_OF + DAY, cost=1)
    person = make_profile(email=None).pk
    lines = (("Tea", True), ("Tea", True))
    for days_ago in (0, 7, 14, -1):
        order_place([person], Ordered(0, AS_OF - days_ago * DAY, Decimal(1), lines))
    order_place([person], Ordered(0, AS_OF, Decimal(1), lines, status="cancelled"))
    order_place([person], Ordered(0, AS_OF, Decimal(1), (("Tea", False),)))
    order_place([person], Ordered(0, AS_OF - DAY, Decimal(1), lines), AS_OF + DAY)
    with django_assert_num_queries(1):
        tea, *priced, nothing = items_read(
            moments=[(sku, AS_OF) for sku in ("Tea", "1", "4", "5", "10", "Coffee")], names=ITEMS
        )
    assert tea == {"price_bucket": 0, "popularity": Decimal("1.75"), "margin": None, "freshness_days": None}
    assert [one["price_bucket"] for one in priced] == [1, 2, 3, 4]
    assert [one["margin"] for one in priced] == [-2, Decimal("0.25"), Decimal("0.4"), Decimal("0.7")]
    assert [one["freshness_days"] for one in priced] == [1, 4, 5, 10]
    assert nothing == {"price_bucket": 0, "popularity": 0, "margin": None, "freshness_days": None}
    of_each = items_read(moments=[("Tea", AS_OF - DAY), ("Tea", AS_OF + 7 * DAY)], names=["popularity"])
    # the day before nothing was recorded yet; a week later the order of the day after counts, and the one told late
    assert of_each == [{"popularity": 0}, {"popularity": round(Decimal(0.875 + 0.5 ** (6 / 7) + 0.5 ** (8 / 7)), 4)}]


@pytest.mark.django_db
def test_an_order_of_long_ago_weighs_nothing() -> None:
    person = make_profile(email=None).pk
    for days_ago in (36_500, 41 * 7):
        order_place([person], Ordered(0, AS_OF - days_ago * DAY, Decimal(1), (("Tea", True),)), AS_OF)
    assert items_read(moments=[("Tea", AS_OF), ("Tea", AS_OF - 20 * 7 * DAY)], names=["popularity"]) == [
        {"popularity": 0},
        {"popularity": 0},  # recorded later
    ]
    long_ago = AS_OF - 7 * 7 * DAY
    order_place([person], Ordered(0, long_ago, Decimal(1), (("Tea", True),)), long_ago)
    assert items_read(moments=[("Tea", AS_OF)], names=["popularity"]) == [{"popularity": Decimal("0.0078")}]


amounts = st.decimals(0, 10**10 - 1, places=4)


@settings(max_examples=tries(200), deadline=None)
@given(amounts, amounts)
def test_a_margin_is_the_exact_share_rounded_once(price: Decimal, cost: Decimal) -> None:
    found = margin(price, cost)
    if price == 0:
        assert found is None
    else:
        exact = (Fraction(price) - Fraction(cost)) / Fraction(price)
        assert found is not None
        assert Fraction(found) == Fraction(floor(exact * 10_000 + Fraction(1, 2)), 10_000)


def test_a_margin_needs_both() -> None:
    assert (margin(None, Decimal(1)), margin(Decimal(1), None)) == (None, None)
    assert margin(Decimal("0.0003"), Decimal("0.0001")) == Decimal("0.6667")


@pytest.mark.django_db
def test_the_moment_where_somebody_is(django_assert_num_queries: Any) -> None:
    for code, countries in (("ALL", []), ("DE", ["DE"]), ("LATE", ["DE"])):
        Promotion.objects.create(
            code=code,
            title=code,
            countries=countries,
            starts_at=AS_OF - DAY,
            ends_at=AS_OF + DAY,
            created_at=AS_OF - DAY,
        )
    Promotion.objects.filter(code="LATE").update(created_at=AS_OF + timedelta(hours=1))
    people = [
        make_profile(email=None, country=country, time_zone=zone).pk
        for country, zone in (("DE", ""), ("DE", "Asia/Tokyo"), ("", ""))
    ]
    Preference.objects.create(profile_id=people[1], time_zone="America/New_York")
    at = datetime(2026, 5, 3, 23, 30, tzinfo=UTC)
    with django_assert_num_queries(3):
        read = context_read(moments=[(one, at) for one in people] + [(people[0], AS_OF + DAY / 2)], names=CONTEXT)
    assert [tuple(one[name] for name in CONTEXT) for one in read] == [(1, 1, 2), (19, 7, 2), (23, 7, 1), (2, 2, 3)]
    with django_assert_num_queries(1):
        assert context_read(moments=[(people[0], at)], names=["hour"]) == [{"hour": 1}]
    assert context_read(moments=[(0, AS_OF)], names=CONTEXT) == [{"hour": 12, "weekday": 1, "active_promotions": 1}]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(Invalid, match="no feature 'hour'"):
        items_read(moments=[("T-1", AS_OF)], names=["hour"])
    with pytest.raises(Invalid, match="no feature 'popularity'"):
        context_read(moments=[(1, AS_OF)], names=["popularity"])
