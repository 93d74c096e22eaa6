"""The clock and the states of a request."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.data.privacy.models import RightsRequest
from apps.data.privacy.rules import STEPS, days_left, due_of, months_later, step_check
from apps.foundation.core.errors import Conflict


@pytest.mark.parametrize(
    ("asked", "months", "due"),
    [
        ("2026-11-22", 1, "2026-12-22"),
        ("2026-12-31", 1, "2027-01-31"),
        ("2027-01-31", 1, "2027-02-28"),
        ("2028-01-31", 1, "2028-02-29"),
        ("2026-10-31", 1, "2026-11-30"),
        ("2026-11-30", 3, "2027-02-28"),
    ],
)
def test_a_month_is_a_month_of_the_calendar(asked: str, months: int, due: str) -> None:
    at = datetime.fromisoformat(f"{asked}T10:15:00+00:00")

    assert months_later(at, months) == datetime.fromisoformat(f"{due}T10:15:00+00:00")


def test_an_extension_gives_two_more_months() -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)

    assert due_of(at) == datetime(2026, 12, 22, tzinfo=UTC)
    assert due_of(at, extended=True) == datetime(2027, 2, 22, tzinfo=UTC)


def test_days_left_are_below_zero_from_the_moment_it_is_overdue() -> None:
    due = datetime(2026, 11, 22, 12, tzinfo=UTC)

    assert days_left(due, due - timedelta(days=3)) == 3
    assert days_left(due, due - timedelta(hours=1)) == 0
    assert days_left(due, due + timedelta(minutes=1)) == -1
    assert days_left(due, due + timedelta(days=4)) == -4


def test_the_states_are_those_of_the_model_and_what_is_closed_stays_closed() -> None:
    assert set(STEPS) == set(RightsRequest.State.values)
    for closed in ("done", "refused", "withdrawn"):
        for to in STEPS:
            with pytest.raises(Conflict):
                step_check(closed, to)
