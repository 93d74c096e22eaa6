"""Schedules: cron expressions in a time zone, and the instants they name.

As Debian's cron does it (cronsim): an hour that the clocks skip in spring runs right after the gap, one that comes
twice in autumn runs once.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from apps.foundation.core.wall_clock import zone_names

_ANY_MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


def zone_problem(name: str) -> str:
    """What is wrong with the name of a time zone, "" for nothing."""
    return "" if name in zone_names() else f"There is no time zone {name!r}: write one as in Europe/Vienna"


def schedule_problem(expression: str) -> str:
    """What is wrong with a cron expression, "" for nothing."""
    if len(expression.split()) != 5:
        return "Write five fields: minute, hour, day of month, month, day of week; 30 9 * * MON is Mondays at 9:30"
    try:
        next(CronSim(expression, _ANY_MOMENT))
    except CronSimError as error:
        return f"{error}: write minute, hour, day of month, month, day of week"
    except StopIteration:
        return "There is no such day, so it would never run"
    return ""


def instants(expression: str, zone: str, *, after: datetime) -> Iterator[datetime]:
    """The instants of a schedule after a moment, in UTC, ascending, each once, without end."""
    seen = after
    for moment in CronSim(expression, after.astimezone(ZoneInfo(zone))):
        instant = moment.astimezone(UTC)
        if instant > seen:  # at the clocks' changes the same instant can come again, or an earlier one
            seen = instant
            yield instant


def occasion_of(instant: datetime) -> str:
    """The occasion key of a schedule's instant: the instant itself, in UTC, ISO 8601."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
