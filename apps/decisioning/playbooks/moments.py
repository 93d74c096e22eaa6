"""Moments in somebody's own time: how long a wait lasts, and when quiet hours end. Pure: the moment is given.

Days and times of day are those on the wall where the person is, so they hold across changes of the clocks. A time
that the clocks skip comes as much later as they skip (02:30 becomes 03:30); of one that comes twice, the first counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from .schedules import zone_problem

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Wait:
    """How long to wait: for a time (minutes, which are exact, and days on the wall), or until a time of day.

    weekdays: of WEEKDAYS, empty for any; own_zone: in the person's time zone where it is known.
    """

    minutes: int = 0
    days: int = 0
    until: time | None = None
    weekdays: tuple[str, ...] = ()
    own_zone: bool = True


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours in which nothing goes out: from the one (included) to the other (not included), over midnight too."""

    start: time
    end: time


@lru_cache(maxsize=1024)
def zone_known(name: str) -> ZoneInfo | None:
    """The time zone of a name, None if there is none of that name."""
    return None if not name or zone_problem(name) else ZoneInfo(name)


def zone_choose(own: str, other: str) -> ZoneInfo:
    """The person's zone if it is known, else the other."""
    return zone_known(own) or zone_known(other) or ZoneInfo("UTC")


def local_instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The instant, in UTC, of a time of day on a day in a zone."""
    return datetime.combine(day, at, zone).astimezone(UTC)


def _next_time(at: time, zone: ZoneInfo, *, reached: datetime, weekdays: Sequence[str] = ()) -> datetime:
    """The first instant at or after `reached` that has this time of day there, on one of these weekdays."""
    day = reached.astimezone(zone).date() - timedelta(days=1)
    while True:
        if not weekdays or WEEKDAYS[day.weekday()] in weekdays:
            for fold in (0, 1):  # the second of a time that comes twice, when we stand between the two
                instant = local_instant(day, at.replace(fold=fold), zone)
                if instant >= reached:
                    return instant
        day += timedelta(days=1)


def wait_end(wait: Wait, *, reached: datetime, zone: ZoneInfo) -> datetime:
    """When a wait that was reached at a moment is over, in UTC; never before that moment."""
    if wait.until is not None:
        return _next_time(wait.until, zone, reached=reached, weekdays=wait.weekdays)
    end = reached.astimezone(UTC)
    if wait.days:
        local = reached.astimezone(zone)
        end = local_instant(local.date() + timedelta(days=wait.days), local.time().replace(fold=local.fold), zone)
    return max(end + timedelta(minutes=wait.minutes), reached)


def quiet_of(quiet: Mapping[str, str] | None) -> Quiet | None:
    """The quiet hours that a spec names."""
    return None if quiet is None else Quiet(time.fromisoformat(quiet["start"]), time.fromisoformat(quiet["end"]))


def quiet_until(quiet: Quiet | None, *, at: datetime, zone: ZoneInfo) -> datetime | None:
    """When the quiet hours that hold at a moment end, in UTC; None when it is not quiet then."""
    if quiet is None:
        return None
    now = at.astimezone(zone).time().replace(fold=0)
    over_midnight = quiet.start > quiet.end
    held = now >= quiet.start or now < quiet.end if over_midnight else quiet.start <= now < quiet.end
    return _next_time(quiet.end, zone, reached=at) if held else None
