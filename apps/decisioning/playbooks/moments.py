"""How long a wait lasts, in somebody's own time. Pure: the moment is given.

Days and times of day are those on the wall where the person is: see `core/wall_clock.py`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from apps.foundation.core.wall_clock import local_instant, next_time


@dataclass(frozen=True, slots=True)
class Wait:
    """How long to wait: for a time (minutes, which are exact, and days on the wall), or until a time of day.

    weekdays: of `wall_clock.WEEKDAYS`, empty for any; own_zone: in the person's time zone where it is known.
    """

    minutes: int = 0
    days: int = 0
    until: time | None = None
    weekdays: tuple[str, ...] = ()
    own_zone: bool = True


def wait_end(wait: Wait, *, reached: datetime, zone: ZoneInfo) -> datetime:
    """When a wait that was reached at a moment is over, in UTC; never before that moment."""
    if wait.until is not None:
        return next_time(wait.until, zone, reached=reached, weekdays=wait.weekdays)
    end = reached.astimezone(UTC)
    if wait.days:
        local = reached.astimezone(zone)
        end = local_instant(local.date() + timedelta(days=wait.days), local.time().replace(fold=local.fold), zone)
    return max(end + timedelta(minutes=wait.minutes), reached)
