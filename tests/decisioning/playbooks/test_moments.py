"""Waits and quiet hours, on the wall where the person is."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.decisioning.playbooks.moments import Wait, wait_end
from apps.foundation.core.wall_clock import Quiet, quiet_until, zone_choose, zone_known
from tests.examples import tries

VIENNA, NEW_YORK, UTC_ZONE = ZoneInfo("Europe/Vienna"), ZoneInfo("America/New_York"), ZoneInfo("UTC")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("wait", "reached", "zone", "end"),
    [
        (Wait(minutes=90), "2025-03-30T00:30Z", VIENNA, "2025-03-30T02:00Z"),  # minutes are exact over the change
        (Wait(days=1), "2025-03-29T09:00Z", VIENNA, "2025-03-30T08:00Z"),  # 10:00 on the wall, both days
        (Wait(days=1), "2025-10-25T08:00Z", VIENNA, "2025-10-26T09:00Z"),
        (Wait(days=1), "2025-03-29T01:30Z", VIENNA, "2025-03-30T01:30Z"),  # 02:30 is skipped: 03:30 instead
        (Wait(days=1), "2025-10-25T00:30Z", VIENNA, "2025-10-26T00:30Z"),  # 02:30 comes twice: the first
        (Wait(until=time(9)), "2025-03-03T07:59Z", VIENNA, "2025-03-03T08:00Z"),
        (Wait(until=time(9)), "2025-03-03T08:00Z", VIENNA, "2025-03-03T08:00Z"),  # it is 9 already
        (Wait(until=time(9)), "2025-03-03T08:01Z", VIENNA, "2025-03-04T08:00Z"),
        (Wait(until=time(9), weekdays=("mon", "thu")), "2025-03-03T08:01Z", VIENNA, "2025-03-06T08:00Z"),
        (
            Wait(until=time(9), weekdays=("mon",)),
            "2025-03-03T20:00Z",
            NEW_YORK,
            "2025-03-10T13:00Z",
        ),  # DST there by now
        (Wait(until=time(2, 30)), "2025-10-26T00:45Z", VIENNA, "2025-10-26T01:30Z"),  # between the two: the second
    ],
)
def test_a_wait_ends(wait: Wait, reached: str, zone: ZoneInfo, end: str) -> None:
    assert wait_end(wait, reached=at(reached), zone=zone) == at(end)


NIGHT = Quiet(time(21), time(8))


@pytest.mark.parametrize(
    ("quiet", "moment", "end"),
    [
        (NIGHT, "2025-03-03T19:59Z", None),
        (NIGHT, "2025-03-03T20:00Z", "2025-03-04T07:00Z"),
        (NIGHT, "2025-03-04T06:59Z", "2025-03-04T07:00Z"),
        (NIGHT, "2025-03-04T07:00Z", None),
        (NIGHT, "2025-03-29T22:00Z", "2025-03-30T06:00Z"),  # an hour shorter that night
        (Quiet(time(12), time(14)), "2025-03-03T11:30Z", "2025-03-03T13:00Z"),
        (Quiet(time(12), time(14)), "2025-03-03T13:00Z", None),
        (None, "2025-03-03T23:00Z", None),
    ],
)
def test_quiet_hours_end(quiet: Quiet | None, moment: str, end: str | None) -> None:
    assert quiet_until(quiet, at=at(moment), zone=VIENNA) == (at(end) if end else None)


def test_an_unknown_zone_is_the_others() -> None:
    assert zone_choose("Europe/Vienna", "Asia/Tokyo") == VIENNA
    assert zone_choose("Mars/Olympus", "Asia/Tokyo") == ZoneInfo("Asia/Tokyo")
    assert zone_choose("", "") == UTC_ZONE
    assert zone_known("../etc/passwd") is None


moments = st.datetimes(datetime(2024, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
zones = st.sampled_from(["Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"])
times = st.times(max_value=time(23, 59)).map(lambda t: t.replace(second=0, microsecond=0))


@settings(max_examples=tries(150), deadline=None)
@given(moment=moments, name=zones, start=times, end=times)
def test_after_quiet_hours_it_is_not_quiet(moment: datetime, name: str, start: time, end: time) -> None:
    zone = ZoneInfo(name)
    until = quiet_until(Quiet(start, end), at=moment, zone=zone) if start != end else None
    if until is not None:
        assert moment < until <= moment + timedelta(hours=26)


@settings(max_examples=tries(150), deadline=None)
@given(moment=moments, name=zones, until=times, days=st.sets(st.sampled_from(["mon", "sat"])))
def test_a_wait_never_ends_before_it_began(moment: datetime, name: str, until: time, days: set[str]) -> None:
    end = wait_end(Wait(until=until, weekdays=tuple(days)), reached=moment, zone=ZoneInfo(name))
    assert moment <= end <= moment + timedelta(days=8, hours=2)
