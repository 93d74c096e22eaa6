"""Rows to train on: what was known at a moment, whatever came later, and only of people who agreed."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from apps.data.catalog.models import Item, Promotion
from apps.data.consent.models import Channel, ConsentRecord
from apps.data.consent.services import consent_withdraw
from apps.data.features.definitions import FEATURES
from apps.data.features.selectors import features_as_of
from apps.data.features.training import ROW_FEATURES, Asked, training_rows
from apps.foundation.core.errors import Invalid
from tests.data.features.happenings import (
    AS_OF,
    DAY,
    Did,
    Ordered,
    dids,
    events_happen,
    kept_apart,
    order_place,
    ordered,
)
from tests.examples import tries
from tests.factories import make_profile

pytestmark = pytest.mark.django_db
NAMES = list(FEATURES)
BOTH = ("profiling", "tracking")


def rows(*moments: tuple[int, datetime] | Asked) -> bytes:
    return "\n".join(training_rows(moments=[Asked(*one) for one in moments], names=ROW_FEATURES)).encode()


@dataclass(frozen=True)
class Offered:
    """That the shop tells of a promotion, from so many days on, for so many."""

    begins: int
    days: int | None
    countries: tuple[str, ...]


@dataclass(frozen=True)
class Priced:
    """That the shop tells a price and a cost of an item, which comes into the catalog by that if it is new."""

    sku: str
    price: int
    cost: int


SKUS = ("Tea", "Lamps", "é", "none", "Cups")
offered = st.builds(
    Offered,
    st.integers(-3, 1),
    st.none() | st.integers(1, 4),
    st.lists(st.sampled_from(["DE", "AT"]), max_size=2).map(tuple),
)
priced = st.builds(Priced, st.sampled_from(SKUS), st.integers(0, 9), st.integers(0, 9))
Thing = Did | Ordered | Offered | Priced
things = dids | ordered | offered | priced


def write(people: list[int], things: list[Thing], recorded_at: datetime) -> None:
    for one in things:
        if isinstance(one, Did):
            events_happen(people, [one], recorded_at)
        elif isinstance(one, Ordered):
            order_place(people, one, recorded_at)
        elif isinstance(one, Offered):
            begins = AS_OF + one.begins * DAY
            Promotion.objects.create(
                code=f"P-{Promotion.objects.count()}",
                title="Free delivery",
                countries=list(one.countries),
                starts_at=begins,
                ends_at=None if one.days is None else begins + one.days * DAY,
                created_at=recorded_at,
            )
        else:
            Item.objects.update_or_create(
                sku=one.sku,
                defaults={"price": one.price, "cost": one.cost},
                create_defaults={
                    "price": one.price,
                    "cost": one.cost,
                    "category": "" if one.sku == "none" else one.sku,  # as orders name it
                    "created_at": recorded_at,
                },
            )


@settings(max_examples=tries(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(things, max_size=6), st.lists(things, min_size=1, max_size=6), st.integers(0, 10))
@example([], [Offered(-1, None, ()), Offered(-1, 3, ("DE",)), Priced("Tea", 9, 3)], 0)
@example([Priced("Tea", 9, 3)], [Ordered(0, AS_OF - DAY, Decimal(9), (("Tea", True),)), Priced("Tea", 1, 1)], 0)
def test_what_is_recorded_later_changes_no_byte(before: list[Thing], after: list[Thing], seconds: int) -> None:
    """Also what happened before the moment, and came in late."""
    with kept_apart():
        people = [make_profile(email=None, country=country, consent=BOTH).pk for country in ("DE", "")]
        moment = AS_OF + timedelta(seconds=seconds)
        moments = [Asked(profile_id, moment, item) for profile_id in people for item in ("", *SKUS)]
        write(people, before, AS_OF)
        written = rows(*moments)
        write(people, after, moment + timedelta(microseconds=1))
        assert rows(*moments) == written


def test_a_row_has_the_moment_and_the_item_where_it_names_one() -> None:
    person = make_profile(email=None, country="AT", consent=BOTH).pk
    write([person], [Priced("Tea", 9, 3), Offered(-1, 3, ("AT",)), Offered(-1, 3, ("DE",))], AS_OF - DAY)
    write([person], [Ordered(0, AS_OF - DAY, Decimal(9), (("Tea", True),))], AS_OF - DAY)
    names = ["popularity", "orders_count", "hour", "active_promotions", "freshness_days"]
    asked = [Asked(person, AS_OF), Asked(person, AS_OF, "Tea"), Asked(person, AS_OF, "Coffee")]
    known = {
        "profile": person,
        "at": "2026-05-04T12:00:00+00:00",
        "orders_count": 1,
        "hour": 14,
        "active_promotions": 1,
    }
    assert [json.loads(row) for row in training_rows(moments=asked, names=names)] == [
        known,
        {**known, "item": "Tea", "popularity": "0.9057", "freshness_days": 1},
        {**known, "item": "Coffee", "popularity": "0.0000", "freshness_days": None},
    ]


@pytest.mark.parametrize("name", ["price_bucket", "margin"])
def test_what_is_known_as_it_is_now_alone_is_in_no_row(name: str) -> None:
    person = make_profile(consent=BOTH).pk
    assert name not in ROW_FEATURES
    with pytest.raises(Invalid, match=f"{name} is made of prices"):
        list(training_rows(moments=[Asked(person, AS_OF, "Tea")], names=[name]))


def test_each_row_is_of_its_moment() -> None:
    person = make_profile(email=None).pk
    for days_ago in (3, 2, 1):
        events_happen([person], [Did(0, "Product Viewed", AS_OF - days_ago * DAY)], AS_OF - days_ago * DAY)
    order_place([person], Ordered(0, AS_OF - 2 * DAY, Decimal(4)), AS_OF - DAY)
    moments = [(person, AS_OF - days_ago * DAY) for days_ago in (1, 4, 2, 3)]
    found = features_as_of(moments=moments, names=["product_views_7d", "lifetime_value"])
    assert [(row["product_views_7d"], row["lifetime_value"]) for row in found] == [(3, 4), (0, 0), (2, 0), (1, 0)]
    assert features_as_of(moments=[], names=NAMES) == []


@pytest.mark.parametrize("consent", [(), ("profiling",), ("tracking",)])
def test_who_did_not_agree_to_both_is_in_no_row(consent: tuple[str, ...]) -> None:
    person = make_profile(consent=consent).pk
    assert rows((person, AS_OF)) == b""


@pytest.mark.parametrize("purpose", BOTH)
def test_who_withdrew_is_in_no_row(purpose: str) -> None:
    person = make_profile(consent=BOTH).pk
    assert json.loads(rows((person, AS_OF)))["profile"] == person
    consent_withdraw(
        profile_id=person, purpose=purpose, channel=Channel.EMAIL, method=ConsentRecord.Method.API, source="test"
    )
    assert rows((person, AS_OF)) == b""


def test_the_command_writes_lines(tmp_path: Path) -> None:
    person = make_profile(consent=BOTH).pk
    asked = tmp_path / "moments.jsonl"
    asked.write_text(f'{{"profile": {person}, "at": "2026-05-04T12:00:00Z"}}\n' * 2)
    out = StringIO()
    call_command("features_rows", str(asked), "--features", "orders_count, last_order_at", stdout=out)
    line = {"profile": person, "at": "2026-05-04T12:00:00+00:00", "orders_count": 0, "last_order_at": None}
    assert [json.loads(one) for one in out.getvalue().splitlines()] == [line, line]
    asked.write_text(f'{{"profile": {person}, "at": "2026-05-04T12:00:00Z", "item": "T-1"}}')
    out = StringIO()
    call_command("features_rows", str(asked), stdout=out)
    row = json.loads(out.getvalue())
    assert list(row) == ["profile", "at", "item", *ROW_FEATURES]
    assert (row["item"], row["hour"], row["popularity"]) == ("T-1", 12, "0.0000")


@pytest.mark.parametrize(
    ("text", "names", "problem"),
    [
        ('{"profile": 1, "at": "2026-05-04"}', "", "Line 1 is not like"),
        ('{"profile": 1, "at": "2026-05-04T12:00:00Z", "item": 7}', "", "Line 1 is not like"),
        ('{"profile": 1, "at": "2026-05-04T12:00:00Z", "item": "\\ud800"}', "", "Line 1 is not like"),
        ('{"profile": 1, "at": "2026-05-04T12:00:00Z", "item": "a\\u0000"}', "", "Line 1 is not like"),
        ('{"profile": 1, "at": "2026-05-04T12:00:00Z"}', "margin", "margin is made of prices"),
        ('{"profile": 1, "at": "2026-05-04T12:00:00Z"}', "shoe_size", "no feature 'shoe_size'"),
    ],
)
def test_the_command_says_what_is_wrong(tmp_path: Path, text: str, names: str, problem: str) -> None:
    asked = tmp_path / "moments.jsonl"
    asked.write_text(text)
    with pytest.raises(CommandError, match=problem):
        call_command("features_rows", str(asked), "--features", names, stdout=StringIO())
