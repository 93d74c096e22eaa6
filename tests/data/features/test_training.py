"""Rows to train on: what was known at a moment, whatever came later, and only of people who agreed."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.data.consent.models import Channel, ConsentRecord
from apps.data.consent.services import consent_withdraw
from apps.data.features.definitions import FEATURES
from apps.data.features.selectors import features_as_of
from apps.data.features.training import training_rows
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


def rows(*moments: tuple[int, datetime]) -> bytes:
    return "\n".join(training_rows(moments=moments, names=NAMES)).encode()


@settings(max_examples=tries(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(dids | ordered, max_size=5), st.lists(dids | ordered, min_size=1, max_size=5), st.integers(0, 10))
def test_what_is_recorded_later_changes_no_byte(
    before: list[Did | Ordered], after: list[Did | Ordered], seconds: int
) -> None:
    """Also what happened before the moment, and came in late."""

    def write(things: list[Did | Ordered], recorded_at: datetime) -> None:
        for one in things:
            if isinstance(one, Did):
                events_happen(people, [one], recorded_at)
            else:
                order_place(people, one, recorded_at)

    with kept_apart():
        people = [make_profile(email=None, consent=BOTH).pk for _ in range(2)]
        moments = [(profile_id, AS_OF + timedelta(seconds=seconds)) for profile_id in people]
        write(before, AS_OF)
        written = rows(*moments)
        write(after, moments[0][1] + timedelta(microseconds=1))
        assert rows(*moments) == written


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


@pytest.mark.parametrize(
    ("text", "names", "problem"),
    [
        ('{"profile": 1, "at": "2026-05-04"}', "", "Line 1 is not like"),
        ('{"profile": 1, "at": "2026-05-04T12:00:00Z"}', "shoe_size", "no feature 'shoe_size'"),
    ],
)
def test_the_command_says_what_is_wrong(tmp_path: Path, text: str, names: str, problem: str) -> None:
    asked = tmp_path / "moments.jsonl"
    asked.write_text(text)
    with pytest.raises(CommandError, match=problem):
        call_command("features_rows", str(asked), "--features", names, stdout=StringIO())
