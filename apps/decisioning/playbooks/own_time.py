"""A schedule that holds at one time of day on each person's own wall: when it begins, who is due when, when it is over.

Such a schedule is read where a day begins first on earth (UTC+14), and its run begins then: nobody's moment has passed.
A person's moment is that time on their wall: a time that the clocks skip comes as much later as they skip, of one that
comes twice the first counts (PEP 495; `core/wall_clock.py`). Whose zone isn't known has their country's, else the
playbook's.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from apps.data.consent.preferences import zones_read
from apps.foundation.core.wall_clock import local_instant, zone_choose

from .contracts import PlaybookSpec

FIRST: Final = "Etc/GMT-14"
"""Where a day begins first: UTC+14 (POSIX counts the other way)."""
_LAST: Final = timedelta(hours=12)
"""So much later than in UTC a day begins where it does last."""


def schedule_zone(spec: PlaybookSpec) -> str:
    """The zone in which the schedule of a spec is read."""
    return FIRST if spec.get("own_zone") else spec["time_zone"]


def schedule_problem_own(expression: str) -> str:
    """Why a cron expression can't hold on everybody's own wall, "" where it can: it must name one time of a day."""
    minute, hour, *_ = [*expression.split(), "", ""]
    if minute.isdigit() and hour.isdigit():
        return ""
    return "On each person's own wall it needs one time of a day, such as 0 9 * * MON: Mondays at nine"


def wall_of(instant: datetime) -> str:
    """The day and time that a schedule's instant is on everybody's wall: 2026-11-30T09:00."""
    return instant.astimezone(ZoneInfo(FIRST)).strftime("%Y-%m-%dT%H:%M")


def moment_of(wall: str, zone: ZoneInfo) -> datetime:
    """The instant, in UTC, of a day and time on the wall in a zone."""
    at = datetime.fromisoformat(wall)
    return local_instant(at.date(), at.time(), zone)


def run_ends(wall: str, hours: int) -> datetime:
    """When the last of a run is over: so many hours after the moment of who comes last."""
    return datetime.fromisoformat(wall).replace(tzinfo=UTC) + _LAST + timedelta(hours=hours)


def people_by_moment(profile_ids: Sequence[int], *, wall: str, zone: str) -> Mapping[datetime, list[int]]:
    """Who is due when, the first first. zone: of people whose own isn't known."""
    zones, other = zones_read(profile_ids=profile_ids), zone_choose("", zone)
    moments: dict[ZoneInfo, datetime] = {}
    found: dict[datetime, list[int]] = {}
    for profile_id in profile_ids:
        own = zones.get(profile_id, other)
        if own not in moments:
            moments[own] = moment_of(wall, own)
        found.setdefault(moments[own], []).append(profile_id)
    return dict(sorted(found.items()))
