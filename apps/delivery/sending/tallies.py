"""The figures of a run, counted at most a twentieth of the time: to count one of millions takes long.

What is counted at once is counted each time and kept nowhere. What takes longer is kept with its moment, and shown
until twenty times as long is over as counting took; past what somebody who looks should wait for, only a sweep counts.
So the pages and the API answer whatever a run's size, and who looks at a run does not slow it down.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction

from apps.foundation.core.clock import now
from apps.foundation.core.postgres import within

from .contracts import CameBack, RunCounts
from .models import Dispatch, RunTally
from .selectors import came_back, days_of, handed_over, run_counts

SHARE: Final = 20
QUICK: Final = 0.1
"""Seconds: what is counted faster is kept nowhere."""
PATIENCE: Final = 2.0
"""Seconds that somebody who looks waits for each statement at most."""
_SWEEP_PATIENCE: Final = 1800.0
_LOCK = 7210  # class of the advisory locks under which a run is counted, by one at a time


NOTHING_COUNTED: Final = RunCounts(0, {}, 0, 0, 0, {}, 0, 0, {})


@dataclass(frozen=True, slots=True)
class Tally:
    """A run's figures. rate: messages a second of the half minute before `counted_at`; last_at: when the last one went
    out; by_day: messages that went out by day in UTC; settled: but for what comes back, they stay.
    """

    counts: RunCounts
    came_back: CameBack
    rate: float
    last_at: datetime | None
    by_day: Mapping[str, int]
    counted_at: datetime
    settled: bool


def run_tally(*, run_id: int, ended: bool, patience: float = PATIENCE, settled_will_do: bool = False) -> Tally | None:
    """The figures of a run: of now, or kept ones where counting takes longer.

    ended: nobody is decided about any more; settled_will_do: what came back since doesn't matter.
    None: they are not known, and it takes longer than `patience` to count them; the sweep does.
    """
    kept = RunTally.objects.filter(pk=run_id).first()
    if kept is None:
        return _count(run_id, ended, patience, alone=False)
    young = now() - kept.counted_at < timedelta(seconds=SHARE * kept.seconds)
    if young or kept.seconds > patience or (kept.settled and settled_will_do):
        return _read(kept)
    return _count(run_id, ended, patience) or _read(kept)


def run_tally_renew(*, run_id: int, ended: bool) -> bool:
    """Counts a large run for who looks at it next, however long it takes; says whether it was time to.

    Of one that is settled only what came back changes, and that ever more slowly: so it is time once a tenth more of
    its life is over.
    """
    kept = RunTally.objects.filter(pk=run_id).first()
    if kept is not None:
        wait = timedelta(seconds=SHARE * kept.seconds)
        begun = Dispatch.objects.filter(run_id=run_id).values_list("created_at", flat=True).first()
        if kept.settled and begun is not None:
            wait = max(wait, (kept.counted_at - begun) / 10)
        if now() - kept.counted_at < wait:
            return False
    return _count(run_id, ended, _SWEEP_PATIENCE) is not None


def _count(run_id: int, ended: bool, patience: float, *, alone: bool = True) -> Tally | None:
    """Counts, and keeps what took long. None where it takes too long, or, alone, while somebody else counts."""
    with transaction.atomic():
        if alone and not _alone(run_id):
            return None
        begun, at = time.monotonic(), now()
        tally = within(round(patience * 1000), lambda: _counted(run_id, ended, at))
        seconds = time.monotonic() - begun
        if tally is not None and seconds > QUICK:
            figures = {
                "counts": asdict(tally.counts),
                "came_back": asdict(tally.came_back),
                "rate": tally.rate,
                "last_at": tally.last_at.isoformat() if tally.last_at else None,
                "by_day": dict(tally.by_day),
            }
            values = {"counted_at": at, "seconds": seconds, "settled": tally.settled, "figures": figures}
            RunTally.objects.update_or_create(run_id=run_id, defaults=values)
    return tally


def _alone(run_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_LOCK, run_id % 2**31])
        return bool(cursor.fetchone()[0])


def _counted(run_id: int, ended: bool, at: datetime) -> Tally:
    counts = run_counts(run_id)
    rate, last_at = handed_over(run_id, at=at)
    return Tally(
        counts=counts,
        came_back=came_back(run_id),
        rate=rate,
        last_at=last_at,
        by_day=days_of(run_id),
        counted_at=at,
        settled=ended and counts.finished and not counts.uncertain,
    )


def _read(kept: RunTally) -> Tally:
    figures: dict[str, Any] = kept.figures
    return Tally(
        counts=RunCounts(**figures["counts"]),
        came_back=CameBack(**figures["came_back"]),
        rate=figures["rate"],
        last_at=datetime.fromisoformat(figures["last_at"]) if figures["last_at"] else None,
        by_day=figures["by_day"],
        counted_at=kept.counted_at,
        settled=kept.settled,
    )
