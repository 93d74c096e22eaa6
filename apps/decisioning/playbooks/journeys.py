"""Journeys through time: people on the way through the steps of a playbook, moved on when they are due.

PostgreSQL is the record: who moves on and what is sent to them are one transaction, so that a crash in between neither
repeats nor loses. Whoever moves them holds the playbook's row against a withdrawal, which then finds all they did.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from django.db import DataError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Max

from apps.data.consent.models import Purpose
from apps.data.consent.preferences import zones_read
from apps.data.consent.selectors import gate_read
from apps.decisioning.audiences.selectors import facts_load
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, DomainError
from apps.foundation.core.live import live_publish
from apps.foundation.core.wall_clock import quiet_of, zone_choose
from apps.foundation.governance.services import audit_record

from .contracts import PlaybookSpec
from .engine import ACTIVE, Known, Move, Sent, Standing, Terms, move, way_out
from .models import Journey, Playbook, PlaybookVersion, Run, RunBatch
from .signals import run_batches_ready
from .specs import version_digest
from .steps import ORDER_COMPLETED, program_make

logger = logging.getLogger(__name__)

BATCH = 500
"""Journeys that are moved on in one transaction."""
_SHARED_KEYS = frozenset({Playbook.Trigger.HAND, Playbook.Trigger.SCHEDULE, Playbook.Trigger.AUDIENCE})
"""Triggers whose occasion many people have in common; of the others each person has their own."""
_PAUSE_AFTER_FAULT = timedelta(minutes=15)

_DUE = """
SELECT id, version_id, profile_id, occasion_key, trigger, step, entered_at, reached_at
FROM playbooks_journey
WHERE playbook_id = %s AND state = 'active' AND due_at <= %s
ORDER BY due_at, id LIMIT %s
FOR UPDATE SKIP LOCKED
"""
_THESE = """
SELECT id, version_id, profile_id, occasion_key, trigger, step, entered_at, reached_at
FROM playbooks_journey
WHERE playbook_id = %s AND state = 'active' AND profile_id = ANY(%s) AND step <> ''
ORDER BY id
FOR UPDATE
"""
# When an event of the name first came after each journey began; a purchase counts as an event too.
_HAPPENED = """
SELECT asked.id, min(found.at)
FROM unnest(%(ids)s::bigint[], %(people)s::bigint[], %(since)s::timestamptz[]) AS asked(id, profile_id, since)
CROSS JOIN LATERAL (
  SELECT e.occurred_at AS at FROM events_event e
  WHERE e.profile_id = asked.profile_id AND e.name = %(name)s
    AND e.occurred_at > asked.since AND e.occurred_at <= %(at)s
  UNION ALL
  SELECT o.placed_at FROM events_order o
  WHERE %(orders)s AND o.profile_id = asked.profile_id AND o.status = 'purchase'
    AND o.placed_at > asked.since AND o.placed_at <= %(at)s
) AS found
GROUP BY asked.id
"""
_MOVED = """
UPDATE playbooks_journey AS journey
SET state = moved.state, step = moved.step, reached_at = moved.reached_at, due_at = moved.due_at,
    ended_at = moved.ended_at, reason = moved.reason, history = journey.history || moved.log::jsonb
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::text[],
            %s::text[]) AS moved(id, state, step, reached_at, due_at, ended_at, reason, log)
WHERE journey.id = moved.id
"""
_ADDRESSES = """
SELECT profile_id, digest FROM profiles_identifier
WHERE profile_id = ANY(%s) AND kind = ANY(%s) AND main
"""


@dataclass(frozen=True, slots=True)
class Due:
    """A journey that was claimed: its row, but for what is only written."""

    id: int
    version_id: int
    profile_id: int
    occasion_key: str
    trigger: str
    step: str
    entered_at: datetime
    reached_at: datetime


@dataclass(frozen=True, slots=True)
class Followed:
    """A pinned version, ready to be followed."""

    terms: Terms
    purpose: str
    channel: str


@lru_cache(maxsize=64)
def _followed(version_id: int, digest: str) -> Followed:
    version = PlaybookVersion.objects.get(pk=version_id)
    if version_digest(version) != digest:
        raise Conflict("version_tampered", f"{version} is not what was approved; nothing of it goes out")
    spec: PlaybookSpec = version.spec
    return Followed(terms=journey_terms(spec), purpose=spec["purpose"], channel=spec["channel"])


def journey_terms(spec: PlaybookSpec) -> Terms:
    """What holds for everybody who follows the steps of a spec. Raises Invalid."""
    return Terms(
        program=program_make(spec),
        zone=zone_choose("", spec["time_zone"]),
        quiet=quiet_of(spec.get("quiet")),
        send_within=timedelta(hours=spec["send_within_hours"]),
    )


# --- moving on ---


def journeys_advance(*, at: datetime, most: int | None = None) -> int:
    """Move on everybody who is due at a moment, in bounded transactions. Returns how many looks there were.

    Safe to call from several places at once, as often as wanted, and to be killed at any point: who was not moved on
    is still due. most: stop after about so many. A playbook that somebody is changing right now is left for the next.
    """
    looked = 0
    due = Journey.objects.filter(state=ACTIVE, due_at__lte=at).order_by("playbook_id")
    for playbook_id in list(due.values_list("playbook_id", flat=True).distinct()):
        while most is None or looked < most:
            moved = _batch_advance(playbook_id, at)
            looked += moved
            if moved < BATCH:
                break
    return looked


def _batch_advance(playbook_id: int, at: datetime) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        if not _held(cursor, playbook_id):
            return 0
        cursor.execute(_DUE, [playbook_id, at, BATCH])
        due = [Due(*row) for row in cursor.fetchall()]
        by_version: defaultdict[int, list[Due]] = defaultdict(list)
        for journey in due:
            by_version[journey.version_id].append(journey)
        for version_id, journeys in by_version.items():
            _advance(cursor, playbook_id, version_id, journeys, at)
    return len(due)


def _held(cursor: CursorWrapper, playbook_id: int) -> bool:
    """Hold the playbook's row against edits and a withdrawal. False when somebody else is at it."""
    cursor.execute("SELECT id FROM playbooks_playbook WHERE id = %s FOR SHARE SKIP LOCKED", [playbook_id])
    return cursor.fetchone() is not None


def _advance(cursor: CursorWrapper, playbook_id: int, version_id: int, journeys: list[Due], at: datetime) -> None:
    try:
        with transaction.atomic():
            _moves_write(cursor, playbook_id, version_id, journeys, _moves(cursor, version_id, journeys, at), at)
    except DomainError as error:  # the whole version can't be followed: look again later, and say so
        logger.error("journeys of version %s stand still: %s", version_id, error.code)
        later = max(at, now()) + _PAUSE_AFTER_FAULT
        Journey.objects.filter(pk__in=[journey.id for journey in journeys]).update(due_at=later)
        audit_record(
            action="playbooks.journeys.held_up",
            actor=None,
            subject=PlaybookVersion.objects.get(pk=version_id),
            data={"error": error.code, "journeys": len(journeys)},
        )
    except (DataError, LookupError, TypeError, ValueError) as error:  # somebody's data: find whose
        if len(journeys) > 1:
            for journey in journeys:
                _advance(cursor, playbook_id, version_id, [journey], at)
            return
        logger.exception("journey %s can't go on", journeys[0].id)
        Journey.objects.filter(pk=journeys[0].id).update(
            state=Journey.State.FAILED, due_at=None, ended_at=at, reason=type(error).__name__
        )


def version_followed(version_id: int) -> Followed:
    """A version made ready, once in each process. Raises Conflict if it is not what its digest says, Invalid."""
    return _followed(version_id, PlaybookVersion.objects.values_list("digest", flat=True).get(pk=version_id))


def _moves(cursor: CursorWrapper, version_id: int, journeys: Sequence[Due], at: datetime) -> list[Move]:
    """The next move of each. A constant number of reads, whatever the number of people."""
    version = version_followed(version_id)
    known = journeys_known(cursor, version, journeys, at)
    return [
        move(version.terms, Standing(journey.step, journey.reached_at), known[journey.id], at=at)
        for journey in journeys
    ]


def journeys_known(cursor: CursorWrapper, version: Followed, journeys: Sequence[Due], at: datetime) -> dict[int, Known]:
    """What is looked at, by journey."""
    people = sorted({journey.profile_id for journey in journeys})
    zones = zones_read(profile_ids=people)
    program = version.terms.program
    facts = facts_load(rules=program.rules, profile_ids=people, as_of=at) if program.rules else {}
    happened: defaultdict[int, dict[str, datetime]] = defaultdict(dict)
    for name in program.exit_events:
        cursor.execute(
            _HAPPENED,
            {
                "ids": [journey.id for journey in journeys],
                "people": [journey.profile_id for journey in journeys],
                "since": [journey.entered_at for journey in journeys],
                "name": name,
                "orders": name == ORDER_COMPLETED,
                "at": at,
            },
        )
        for journey_id, first in cursor.fetchall():
            happened[journey_id][name] = first
    needs_consent = Purpose.objects.values_list("needs_consent", flat=True).get(pk=version.purpose)
    gate = gate_read(profile_ids=people, purpose=version.purpose, channel=version.channel, needs_consent=needs_consent)
    return {
        journey.id: Known(
            zone=zones.get(journey.profile_id) or version.terms.zone,
            withdrew=gate[journey.profile_id].reason == "withdrawn",
            facts=facts.get(journey.profile_id),
            happened=happened[journey.id],
        )
        for journey in journeys
    }


def _moves_write(
    cursor: CursorWrapper,
    playbook_id: int,
    version_id: int,
    journeys: Sequence[Due],
    moves: Sequence[Move],
    at: datetime,
) -> None:
    """Write where everybody stands now, and put those at a message into its run: all in the caller's transaction."""
    sent = [(journey, message) for journey, one in zip(journeys, moves, strict=True) for message in one.messages]
    stopped = _messages_put(cursor, playbook_id, version_id, sent, at) if sent else set()
    stamp = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = [
        (
            journey.id,
            Journey.State.CANCELLED.value if journey.id in stopped else one.state,
            one.step,
            one.reached_at,
            None if journey.id in stopped else one.due_at,
            at if journey.id in stopped else one.ended_at,
            "its run was cancelled" if journey.id in stopped else one.reason[:80],
            json.dumps([[stamp, *entry] for entry in one.log]),
        )
        for journey, one in zip(journeys, moves, strict=True)
    ]
    cursor.execute(_MOVED, [list(column) for column in zip(*rows, strict=True)])


# --- messages ---


@dataclass
class Group:
    """People who get one step's message for one occasion, or for occasions of their own."""

    people: list[int] = field(default_factory=list)
    journeys: list[int] = field(default_factory=list)
    deadline: datetime | None = None
    trigger: str = ""


def _messages_put(
    cursor: CursorWrapper, playbook_id: int, version_id: int, sent: Sequence[tuple[Due, Sent]], at: datetime
) -> set[int]:
    """Put people into the runs of their message steps. Returns the journeys whose run was cancelled.

    An occasion that many share is one run, to which later ones are added; so nobody, and no address, gets two for it.
    Occasions of single people are gathered into runs in which nobody and no address comes twice.
    """
    stopped: set[int] = set()
    shared: defaultdict[tuple[str, str, str], Group] = defaultdict(Group)
    own: defaultdict[tuple[str, str], list[tuple[Due, Sent]]] = defaultdict(list)
    for journey, message in sent:
        if journey.trigger in _SHARED_KEYS:
            _join(shared[message.step, journey.occasion_key, message.withheld], journey, message)
        else:
            own[message.step, message.withheld].append((journey, message))
    for (step, key, withheld), group in sorted(shared.items()):
        if not run_extend(cursor, playbook_id, version_id, step, key, withheld, group, at):
            stopped.update(group.journeys)
    for (step, withheld), alone in sorted(own.items()):
        for group in _layers(cursor, alone):
            key = f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC, journeys from {min(group.journeys)}"
            run_extend(cursor, playbook_id, version_id, step, key, withheld, group, at)
    return stopped


def _join(group: Group, journey: Due, message: Sent) -> None:
    group.people.append(journey.profile_id)
    group.journeys.append(journey.id)
    group.trigger = journey.trigger
    group.deadline = message.deadline if group.deadline is None else max(group.deadline, message.deadline)


def _layers(cursor: CursorWrapper, alone: Sequence[tuple[Due, Sent]]) -> list[Group]:
    """Groups in which each person and each address stands once: what else is in a run is another occasion."""
    cursor.execute(_ADDRESSES, [[journey.profile_id for journey, _ in alone], ["email", "phone"]])
    marks: defaultdict[int, set[Any]] = defaultdict(set)
    for profile_id, digest in cursor.fetchall():
        marks[profile_id].add(bytes(digest))
    layers: list[tuple[Group, set[Any]]] = []
    for journey, message in alone:
        mine = {journey.profile_id, *marks[journey.profile_id]}
        layer = next((layer for layer in layers if not mine & layer[1]), None)
        if layer is None:
            layer = (Group(), set())
            layers.append(layer)
        layer[1].update(mine)
        _join(layer[0], journey, message)
    return [group for group, _ in layers]


def run_extend(
    cursor: CursorWrapper,
    playbook_id: int,
    version_id: int,
    step: str,
    key: str,
    withheld: str,
    group: Group,
    at: datetime,
) -> Run | None:
    """Add people to the run of a step and occasion, made if need be. None when it was cancelled."""
    Run.objects.bulk_create(
        [
            Run(
                playbook_id=playbook_id,
                version_id=version_id,
                step=step,
                occasion_key=key[:120],
                trigger=group.trigger,
                state=Run.State.DECIDING,
                as_of=at,
                created_at=at,
                send_until=group.deadline,
            )
        ],
        ignore_conflicts=True,
    )
    run = Run.objects.select_for_update().get(playbook_id=playbook_id, step=step, occasion_key=key[:120])
    if run.state == Run.State.CANCELLED:
        return None
    first = (run.batches.aggregate(highest=Max("number"))["highest"] or 0) + 1
    RunBatch.objects.bulk_create(
        RunBatch(
            run=run,
            number=first + number,
            profile_ids=group.people[start : start + BATCH],
            as_of=at,
            withheld=withheld,
        )
        for number, start in enumerate(range(0, len(group.people), BATCH))
    )
    deadlines = [moment for moment in (run.send_until, group.deadline) if moment is not None]
    Run.objects.filter(pk=run.pk).update(
        people=run.people + len(group.people),
        state=Run.State.DECIDING,
        decided_at=None,
        send_until=max(deadlines, default=None),
    )
    transaction.on_commit(lambda: _batches_tell(run.pk))
    return run


def _batches_tell(run_id: int) -> None:
    live_publish(f"run-{run_id}")
    run_batches_ready.send(Run, run_id=run_id)


# --- leaving ---


def journeys_leave(cursor: CursorWrapper, *, playbook_id: int, profile_ids: Iterable[int], at: datetime) -> int:
    """End the journeys of these people for which a way out holds by now, due or not. Returns how many left.

    Inside the caller's transaction: who asks whether somebody is under way wants to know it as of this moment.
    """
    cursor.execute(_THESE, [playbook_id, sorted(set(profile_ids))])
    left = 0
    by_version: defaultdict[int, list[Due]] = defaultdict(list)
    for row in cursor.fetchall():
        journey = Due(*row)
        by_version[journey.version_id].append(journey)
    for version_id, journeys in by_version.items():
        version = version_followed(version_id)
        known = journeys_known(cursor, version, journeys, at)
        moves: list[tuple[Due, Move]] = []
        for journey in journeys:
            out = way_out(version.terms, journey.step, known[journey.id], at=at)
            if out is not None:
                log = ((journey.step, "left"),)
                one = Move("exited", journey.step, journey.reached_at, None, out[1], out[0], (), log)
                moves.append((journey, one))
        if moves:
            whose, made = zip(*moves, strict=True)
            _moves_write(cursor, playbook_id, version_id, whose, made, at)
            left += len(moves)
    return left


def journeys_cancel(*, playbook_id: int, occasion_key: str | None = None, at: datetime, reason: str) -> int:
    """Cancel the journeys of a playbook that are under way, of one occasion or all. Returns how many.

    Inside the caller's transaction. Waits for those who move them on; afterwards all that they sent is to be seen.
    """
    under_way = Journey.objects.filter(playbook_id=playbook_id, state=ACTIVE)
    if occasion_key is not None:
        under_way = under_way.filter(occasion_key=occasion_key)
    return under_way.update(state=Journey.State.CANCELLED, due_at=None, ended_at=at, reason=reason[:80])
