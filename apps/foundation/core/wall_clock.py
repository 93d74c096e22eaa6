"""Times of day where somebody is, and the instants that they name. Pure.

They hold across changes of the clocks: a time that the clocks skip comes as much later as they skip (02:30 becomes
03:30); of one that comes twice, the first counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final
from zoneinfo import TZPATH, ZoneInfo, available_timezones

_MOST_LIVE_IN: Final = {
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "CD": "Africa/Kinshasa",
    "GL": "America/Nuuk",
    "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv",
    "US": "America/New_York",
    "UZ": "Asia/Tashkent",
}
"""Of countries with several zones that zone.tab does not list the one first in which most people live."""

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """The names of all time zones (IANA)."""
    return frozenset(available_timezones())


@lru_cache(maxsize=1024)
def zone_known(name: str) -> ZoneInfo | None:
    """The time zone of a name, None if there is none of that name."""
    return ZoneInfo(name) if name in zone_names() else None


@lru_cache(maxsize=1)
def zones_by_country() -> Mapping[str, ZoneInfo]:
    """The time zone in which most people of a country live, by its code (ISO 3166-1): from the tz database's zone.tab.

    Nothing where the machine has no such table.
    """
    found: dict[str, ZoneInfo] = {}
    table = next((path for folder in TZPATH if (path := Path(folder) / "zone.tab").is_file()), None)
    for line in table.read_text(encoding="utf-8").splitlines() if table is not None else ():
        if line and not line.startswith("#"):
            country, _, name, *_ = line.split("\t")
            if (zone := zone_known(_MOST_LIVE_IN.get(country, name))) is not None:
                found.setdefault(country, zone)
    return found


def zone_choose(own: str, other: str) -> ZoneInfo:
    """The person's zone if it is known, else the other, else UTC."""
    return zone_known(own) or zone_known(other) or ZoneInfo("UTC")


def local_instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The instant, in UTC, of a time of day on a day in a zone."""
    return datetime.combine(day, at, zone).astimezone(UTC)


def next_time(at: time, zone: ZoneInfo, *, reached: datetime, weekdays: Sequence[str] = ()) -> datetime:
    """The first instant at or after `reached` that has this time of day there, on one of these weekdays."""
    day = reached.astimezone(zone).date() - timedelta(days=1)
    while True:
        if not weekdays or WEEKDAYS[day.weekday()] in weekdays:
            for fold in (0, 1):  # the second of a time that comes twice, when we stand between the two
                instant = local_instant(day, at.replace(fold=fold), zone)
                if instant >= reached:
                    return instant
        day += timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours in which nothing goes out: from the one (included) to the other (not included), over midnight too."""

    start: time
    end: time


def quiet_of(quiet: Mapping[str, str] | None) -> Quiet | None:
    """Quiet hours from their `start` and `end` as HH:MM."""
    return None if quiet is None else Quiet(time.fromisoformat(quiet["start"]), time.fromisoformat(quiet["end"]))


def quiet_until(quiet: Quiet | None, *, at: datetime, zone: ZoneInfo) -> datetime | None:
    """When the quiet hours that hold at a moment end, in UTC; None when it is not quiet then."""
    if quiet is None:
        return None
    now = at.astimezone(zone).time().replace(fold=0)
    over_midnight = quiet.start > quiet.end
    held = now >= quiet.start or now < quiet.end if over_midnight else quiet.start <= now < quiet.end
    return next_time(quiet.end, zone, reached=at) if held else None


def days_until(weekdays: Sequence[str], *, at: datetime, zone: ZoneInfo) -> datetime | None:
    """When the next of these weekdays begins there, in UTC; None when it is one of them. None of them: every day."""
    if not weekdays or WEEKDAYS[at.astimezone(zone).weekday()] in weekdays:
        return None
    return next_time(time(), zone, reached=at, weekdays=weekdays)


def quiet_both_until(
    first: tuple[Quiet | None, ZoneInfo], other: tuple[Quiet | None, ZoneInfo], *, at: datetime
) -> datetime | None:
    """When a moment comes that is quiet by neither, in UTC; None when `at` is one.

    Two that leave no such moment for two days (together they cover every hour) give the end of those days.
    """
    end = at
    while end < at + timedelta(days=2):
        later = quiet_until(first[0], at=end, zone=first[1]) or quiet_until(other[0], at=end, zone=other[1])
        if later is None:
            return None if end == at else end
        end = later
    return end
