"""Schedules: the instants they name, through both changes of the clocks."""

from datetime import UTC, datetime
from itertools import islice

import pytest

from apps.decisioning.playbooks.schedules import instants, occasion_of, schedule_problem, zone_problem


def _next(expression: str, zone: str, after: datetime, count: int) -> list[str]:
    return [occasion_of(instant) for instant in islice(instants(expression, zone, after=after), count)]


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        (  # an ordinary week
            "30 9 * * MON",
            "Europe/Vienna",
            datetime(2026, 11, 22, tzinfo=UTC),
            ["2026-11-23T08:30:00Z", "2026-11-30T08:30:00Z"],
        ),
        (  # the same time of day is another instant in summer
            "0 9 * * *",
            "Europe/Vienna",
            datetime(2026, 3, 28, tzinfo=UTC),
            ["2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z"],
        ),
        (  # spring: 02:30 does not exist on 29 March, so it comes right after the gap, once
            "30 2 * * *",
            "Europe/Vienna",
            datetime(2026, 3, 28, 2, tzinfo=UTC),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
        ),
        (  # spring: two times that fall into one instant are one occasion
            "0 2,3 * * *",
            "Europe/Vienna",
            datetime(2026, 3, 28, 12, tzinfo=UTC),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"],
        ),
        (  # autumn: 02:30 comes twice on 25 October, and runs the first time only
            "30 2 * * *",
            "Europe/Vienna",
            datetime(2026, 10, 24, 12, tzinfo=UTC),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
        ),
        (  # autumn: asked between the two, the second is not a new one
            "30 2 * * *",
            "Europe/Vienna",
            datetime(2026, 10, 25, 1, 15, tzinfo=UTC),
            ["2026-10-26T01:30:00Z"],
        ),
        (  # every hour goes on through the repeated hour
            "0 * * * *",
            "Europe/Vienna",
            datetime(2026, 10, 24, 23, 30, tzinfo=UTC),
            ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"],
        ),
        ("0 0 29 2 *", "UTC", datetime(2026, 1, 1, tzinfo=UTC), ["2028-02-29T00:00:00Z"]),
    ],
)
def test_instants(expression: str, zone: str, after: datetime, expected: list[str]) -> None:
    assert _next(expression, zone, after, len(expected)) == expected


@pytest.mark.parametrize(
    "expression", ["", "* * * *", "* * * * * *", "61 * * * *", "0 0 30 2 *", "often", "0 0 31 4 MON-"]
)
def test_what_is_no_schedule_says_so(expression: str) -> None:
    assert schedule_problem(expression)


@pytest.mark.parametrize("expression", ["0 9 * * *", "*/15 8-18 * * MON-FRI", "0 0 L * *", "0 12 * * MON#1"])
def test_what_is_a_schedule_passes(expression: str) -> None:
    assert schedule_problem(expression) == ""


def test_a_zone_must_be_known() -> None:
    assert zone_problem("Europe/Vienna") == ""
    assert "Europe/Wien" in zone_problem("Europe/Wien")
    assert zone_problem("../etc/passwd")
