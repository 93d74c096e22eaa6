"""What the pages about runs show: figures across deciding and sending."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Q, Sum
from django.utils.translation import gettext as _

from apps.data.profiles.addresses import addresses_read, value_mask
from apps.data.profiles.errors import MasterKeyMissing
from apps.decisioning.playbooks.models import Preparation, Run, RunBatch
from apps.delivery.sending.contracts import CameBack
from apps.delivery.sending.models import Dispatch, Message, RunTally
from apps.delivery.sending.tallies import NOTHING_COUNTED, PATIENCE, run_tally, run_tally_renew
from apps.foundation.core.clock import now

from .words import TIER_ORDER, reason_in_words, state_in_words, tier_in_words

logger = logging.getLogger(__name__)

State = Message.State
PAGE_SIZE = 50
_OLD = timedelta(seconds=10)
_LARGE = 20_000
"""People of a run that is counted before somebody looks."""
_COUNTED_FOR = timedelta(days=8)


@dataclass(frozen=True, slots=True)
class Share:
    """One row of a breakdown: a count, and its share of the whole in percent."""

    code: str
    words: str
    count: int
    percent: float


@dataclass(frozen=True, slots=True)
class RunFigures:
    """All figures of a run's page. Counts are people; they add up to `planned` once everything is decided.

    waiting: decided to be sent and not yet handed over; rate: messages a second of the last 30 s;
    remaining: seconds to go at that rate, None when nothing moves; took: seconds from start to the last message;
    counted_at: of when they are, None where a large run was not counted yet and its counts are zeros;
    came_back: None while nothing went out; chosen, ready: for how many something was chosen, and for how many of these
    it was there already; prepared: what was made ahead of it, None for nothing.
    """

    phase: str
    phase_words: str
    settled: bool
    planned: int
    decided: int
    withheld: int
    sent: int
    waiting: int
    failed: int
    uncertain: int
    cancelled: int
    done_percent: float
    reasons: Sequence[Share]
    failures: Sequence[Share]
    tiers: Sequence[Share]
    rate: float
    remaining: float | None
    took: float | None
    not_after: datetime | None
    can_pause: bool
    can_resume: bool
    can_cancel: bool
    counted_at: datetime | None
    per_minute: int | None = None
    came_back: CameBack | None = None
    chosen: int = 0
    ready: int = 0
    prepared: Preparation | None = None

    @property
    def ready_percent(self) -> int:
        """The share of choices that were there already, rounded down."""
        return 100 * self.ready // self.chosen if self.chosen else 0

    @property
    def old(self) -> bool:
        """Whether they are of a moment that should be said."""
        return self.counted_at is not None and now() - self.counted_at > _OLD

    @property
    def done(self) -> int:
        """People for whom nothing more will happen."""
        return self.withheld + self.sent + self.failed + self.uncertain + self.cancelled


PHASES = {
    "planning": "Putting the audience together",
    "deciding": "Deciding and sending",
    "sending": "Sending",
    "paused": "Paused",
    "finished": "Finished",
    "cancelled": "Cancelled",
}


def run_figures(run: Run, *, patience: float = PATIENCE, settled_will_do: bool = False) -> RunFigures:
    """The figures of a run: of now, or of a large one as they were counted last (`tallies.py`).

    patience: seconds that counting may take; settled_will_do: what came back since doesn't matter.
    """
    tally = run_tally(run_id=run.pk, ended=run.ended, patience=patience, settled_will_do=settled_will_do)
    counts = tally.counts if tally is not None else NOTHING_COUNTED
    dispatch = Dispatch.objects.filter(run_id=run.pk).first()
    waiting, cancelled = counts.queued + counts.sending, counts.cancelled
    if run.state == Run.State.CANCELLED:  # nobody who was not decided about gets anything any more
        cancelled += waiting + max(run.people - counts.planned, 0)
        waiting = 0
    # what was counted before all were decided about does not know who still waits
    known = tally is not None and (run.decided_at is None or tally.counted_at >= run.decided_at)
    phase = _phase(run, dispatch, may_wait=bool(waiting) or not known)
    rate, last_at = (tally.rate, tally.last_at) if tally is not None else (0.0, None)
    done = counts.withheld_total + counts.sent + counts.failed_total + counts.uncertain + cancelled
    open_people = max(run.people - done, 0)
    ended_at = last_at or run.decided_at
    uncertain = {"uncertain": counts.uncertain} if counts.uncertain else {}
    found = RunBatch.objects.filter(run=run).aggregate(chosen=Sum("chosen"), ready=Sum("ready"))
    return RunFigures(
        phase=phase,
        phase_words=PHASES[phase],
        settled=phase in ("finished", "cancelled"),
        planned=run.people,
        decided=counts.planned,
        withheld=counts.withheld_total,
        sent=counts.sent,
        waiting=waiting,
        failed=counts.failed_total,
        uncertain=counts.uncertain,
        cancelled=cancelled,
        done_percent=round(100 * done / run.people, 1) if run.people else (100.0 if phase == "finished" else 0.0),
        reasons=_shares(counts.withheld, run.people, reason_in_words),
        failures=_shares({**counts.failed, **uncertain}, run.people, reason_in_words),
        tiers=_shares(counts.by_tier, counts.sent, tier_in_words, order=TIER_ORDER),
        rate=rate,
        remaining=open_people / rate if rate and open_people and phase in ("deciding", "sending") else None,
        took=(ended_at - run.created_at).total_seconds() if ended_at and phase == "finished" else None,
        not_after=dispatch.not_after if dispatch is not None else None,
        can_pause=phase in ("deciding", "sending") and dispatch is not None,
        can_resume=phase == "paused",
        can_cancel=phase not in ("finished", "cancelled"),
        counted_at=tally.counted_at if tally is not None else None,
        per_minute=dispatch.per_minute if dispatch is not None else None,
        came_back=tally.came_back if tally is not None and counts.sent else None,
        chosen=found["chosen"] or 0,
        ready=found["ready"] or 0,
        prepared=_prepared(run),
    )


def _prepared(run: Run) -> Preparation | None:
    """What was made ahead of the run's message, before it began and so that it could still use it."""
    since = run.created_at - timedelta(seconds=settings.PRECOMPUTED_SECONDS)
    made = Preparation.objects.filter(version=run.version_id, step=run.step, choices__gt=0)
    return made.filter(ended_at__gt=since, ended_at__lte=run.created_at).first()


def _phase(run: Run, dispatch: Dispatch | None, *, may_wait: bool) -> str:
    if run.state == Run.State.CANCELLED or (dispatch is not None and dispatch.state == Dispatch.State.CANCELLED):
        return "cancelled"
    if run.state == Run.State.DECIDED and not may_wait:
        return "finished"
    if dispatch is not None and dispatch.state == Dispatch.State.PAUSED:
        return "paused"
    return {Run.State.PLANNING: "planning", Run.State.DECIDING: "deciding"}.get(Run.State(run.state), "sending")


def _shares(counts: Mapping[str, int], whole: int, words: Any, *, order: Sequence[str] = ()) -> list[Share]:
    def place(code: str) -> tuple[int, int, str]:
        return (order.index(code) if code in order else len(order)), -counts[code], code

    return [
        Share(code, words(code), counts[code], round(100 * counts[code] / whole, 1) if whole else 0.0)
        for code in sorted(counts, key=place)
    ]


# --- a run on everybody's own wall ---

# Whom quiet hours put off stands in a batch of its own too, whose facts are those of the first moment.
_SPREAD = """
SELECT not_before, sum(cardinality(profile_ids)), bool_and(decided_at IS NOT NULL)
FROM playbooks_runbatch WHERE run_id = %s AND not_before = as_of
GROUP BY not_before ORDER BY not_before
"""


@dataclass(frozen=True, slots=True)
class Due:
    """Whose moment it is at one instant: the zones with this distance from UTC ("+5:30"), and how many people."""

    at: datetime
    zone: str
    people: int
    percent: float
    decided: bool


def run_spread(run: Run) -> list[Due]:
    """Who is due when, of a run that goes out at one time on each person's own wall; nothing for any other."""
    if not run.wall:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_SPREAD, [run.pk])
        found = cursor.fetchall()
    wall, whole = datetime.fromisoformat(run.wall).replace(tzinfo=UTC), sum(row[1] for row in found)
    return [
        Due(at, _distance(wall - at), people, round(100 * people / whole, 1), decided) for at, people, decided in found
    ]


def _distance(ahead: timedelta) -> str:
    """How far a wall is ahead of UTC: "+5:30", "-8", "±0"."""
    minutes = round(ahead.total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    sign = "+" if minutes > 0 else "−" if minutes else "±"
    return f"{sign}{hours}:{rest:02}" if rest else f"{sign}{hours}"


# --- the messages of a run ---

SHOWN = {
    "sent": "d.outcome = 'send' AND m.state IN ('sent', 'delivered', 'bounced', 'complained')",
    "withheld": "(d.outcome <> 'send' OR m.state = 'withheld')",
    "waiting": "d.outcome = 'send' AND (m.state IS NULL OR m.state IN ('queued', 'claimed', 'sending', 'retry'))",
    "failed": "m.state = 'failed'",
    "uncertain": "m.state = 'uncertain'",
    "cancelled": "m.state = 'cancelled'",
    "all": "TRUE",
}
"""What a list of a run's messages may be narrowed to, as SQL of our own."""

# Keyset, never offset: page 1,000 costs what page 1 costs. Ids are UUIDv7, so a run's lie together, in time's order.
_MESSAGES = """
SELECT d.id, d.profile_id, d.outcome, d.tier, d.decided_at, m.state, m.reason, m.sending_at
FROM decisions_decision AS d
LEFT JOIN sending_message AS m ON m.id = d.id
WHERE d.run_id = %(run)s AND d.id > %(after)s AND {shown}
  AND (%(reason)s = '' OR (CASE WHEN d.outcome <> 'send' THEN d.outcome ELSE m.reason END) = %(reason)s)
  AND (%(tier)s = '' OR d.tier = %(tier)s)
ORDER BY d.id
LIMIT %(size)s
"""


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One person of a run: what was decided, and what became of the message. address: where mail to them goes now."""

    id: UUID
    profile_id: int
    state: str
    state_words: str
    reason_words: str
    tier_words: str
    address: str
    at: datetime


def run_messages(
    *, run: Run, shown: str, reason: str = "", tier: str = "", after: UUID | None = None, whole: bool = False
) -> tuple[list[MessageRow], UUID | None]:
    """A page of a run's people, and the key of the next page (None on the last). `shown`: a key of `SHOWN`;
    whole: addresses as they are, else masked."""
    with connection.cursor() as cursor:
        cursor.execute(
            _MESSAGES.format(shown=SHOWN[shown]),
            {
                "run": run.pk,
                "after": after or _first_id(run.created_at),
                "reason": reason,
                "tier": tier,
                "size": PAGE_SIZE + 1,
            },
        )
        found = cursor.fetchall()
    people = [row[1] for row in found]
    try:
        addresses = addresses_read(profile_ids=people, kind="email")
    except MasterKeyMissing as error:
        logger.error("a page shows no addresses: %s", error.message)
        addresses, whole = dict.fromkeys(people, _("address can't be read: a master key is missing")), True
    if not whole:
        addresses = {person: value_mask("email", address) for person, address in addresses.items()}
    rows = [_row(*row, address=addresses.get(row[1], "")) for row in found]
    return rows[:PAGE_SIZE], rows[PAGE_SIZE - 1].id if len(rows) > PAGE_SIZE else None


def _row(
    key: UUID,
    profile_id: int,
    outcome: str,
    tier: str,
    decided_at: datetime,
    state: str | None,
    reason: str | None,
    sending_at: datetime | None,
    *,
    address: str,
) -> MessageRow:
    shown = (state or "decided") if outcome == "send" else "withheld"
    why = (reason or "") if outcome == "send" else outcome
    return MessageRow(
        id=key,
        profile_id=profile_id,
        state=shown,
        state_words=state_in_words(shown),
        reason_words=reason_in_words(why) if why else "",
        tier_words=tier_in_words(tier) if tier else "",
        address=address,
        at=sending_at or decided_at,
    )


def _first_id(moment: datetime) -> UUID:
    """The smallest UUIDv7 of a moment less a minute (clocks differ): where a run's ids can begin (RFC 9562, 5.7)."""
    milliseconds = max(int((moment - timedelta(minutes=1)).timestamp() * 1000), 0)
    return UUID(int=milliseconds << 80)


# --- the list of runs ---


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run in a list."""

    run: Run
    figures: RunFigures


def runs_page(*, before: int | None = None, size: int = 20) -> tuple[list[RunRow], int | None]:
    """Runs, newest first, and the key of the next page (None on the last)."""
    runs = Run.objects.select_related("playbook", "version", "started_by").order_by("-pk")
    if before is not None:
        runs = runs.filter(pk__lt=before)
    found = list(runs[: size + 1])
    rows, until = [], time.monotonic() + PATIENCE
    for run in found[:size]:
        left = max(until - time.monotonic(), 0.05)  # large ones that were never counted share what a reader waits
        rows.append(RunRow(run, run_figures(run, patience=left, settled_will_do=True)))
    return rows, found[size - 1].pk if len(found) > size else None


def runs_count_large(*, at: datetime) -> int:
    """Counts the large runs of the last days whose kept figures are due (`tallies.py`); says how many those were."""
    counted = Q(people__gte=_LARGE) | Q(pk__in=RunTally.objects.filter(settled=False).values("run_id"))
    lately = Run.objects.filter(counted, created_at__gte=at - _COUNTED_FOR)
    return sum(run_tally_renew(run_id=run.pk, ended=run.ended) for run in lately)
