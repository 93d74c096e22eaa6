"""The tallies of events in PostgreSQL: written in the transaction that records events, so exactly once like them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper

from apps.data.events.contracts import RecordedEvent
from apps.foundation.core.postgres import array_text

from .online import copies_void
from .sql import name_id

_FOLD_LOCK = 0x7E55F01D  # shared by whoever adds to the tallies, alone for whoever makes them anew
# The hot path: one statement for a micro-batch. Always in the order of the keys, so that two batches with the same
# people wait for each other and never in a circle.
_ADD = """
WITH happened AS (
    SELECT profile_id, name_id, day, number, first_at, last_at
    FROM unnest(%s::bigint[], %s::bigint[], %s::date[], %s::int[], %s::timestamptz[], %s::timestamptz[])
         AS one(profile_id, name_id, day, number, first_at, last_at)
), days AS (
    INSERT INTO features_eventday AS kept (profile_id, name_id, day, number, first_at, last_at)
    SELECT * FROM happened ORDER BY profile_id, name_id, day
    ON CONFLICT (profile_id, name_id, day) DO UPDATE SET number = kept.number + excluded.number,
        first_at = LEAST(kept.first_at, excluded.first_at), last_at = GREATEST(kept.last_at, excluded.last_at)
)
INSERT INTO features_eventtally AS kept (profile_id, name_id, number, first_at, last_at)
SELECT profile_id, name_id, sum(number), min(first_at), max(last_at)
FROM happened GROUP BY profile_id, name_id ORDER BY profile_id, name_id
ON CONFLICT (profile_id, name_id) DO UPDATE SET number = kept.number + excluded.number,
    first_at = LEAST(kept.first_at, excluded.first_at), last_at = GREATEST(kept.last_at, excluded.last_at)
"""
_OF_NAME = "('x' || encode(substr(sha256(convert_to(e.name, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint"
_FOLD_DAYS = f"""
INSERT INTO features_eventday (profile_id, name_id, day, number, first_at, last_at)
SELECT e.profile_id, {_OF_NAME}, (e.occurred_at AT TIME ZONE 'UTC')::date, count(*),
       min(e.occurred_at), max(e.occurred_at)
FROM events_event e WHERE e.profile_id = ANY(%s)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""  # noqa: S608  # our own names
_FOLD_TALLIES = """
INSERT INTO features_eventtally (profile_id, name_id, number, first_at, last_at)
SELECT profile_id, name_id, sum(number), min(first_at), max(last_at)
FROM features_eventday WHERE profile_id = ANY(%s)
GROUP BY 1, 2 ORDER BY 1, 2
"""


def events_tally(events: Sequence[RecordedEvent]) -> None:
    """Add events that were recorded just now, in their transaction, and make the copies of their people void.

    A batch step of `events.registry`. Nobody's events count for nobody.
    """
    tallies: dict[tuple[int, int, Any], list[Any]] = {}
    for event in events:
        if event.profile_id is None:
            continue
        at = event.occurred_at
        key = event.profile_id, name_id(event.name), (at if at.tzinfo is UTC else at.astimezone(UTC)).date()
        there = tallies.get(key)
        if there is None:
            tallies[key] = [1, at, at]
            continue
        there[0] += 1
        if at < there[1]:
            there[1] = at
        elif at > there[2]:
            there[2] = at
    if not tallies:
        return
    profile_ids, names, days = zip(*tallies, strict=True)
    numbers, firsts, lasts = zip(*tallies.values(), strict=True)
    columns = [array_text(map(str, column)) for column in (profile_ids, names, days, numbers)]
    columns += [array_text(map(datetime.isoformat, column)) for column in (firsts, lasts)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [_FOLD_LOCK])
        cursor.execute(_ADD, columns)
    copies_void(profile_ids=sorted(set(profile_ids)))


def tallies_fold(cursor: CursorWrapper, profile_ids: Sequence[int]) -> None:
    """Make the tallies of people anew from their events, in the caller's transaction; until it ends, nobody adds any.

    For many people, one transaction for some hundreds at a time.
    """
    ids = list(profile_ids)
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_FOLD_LOCK])
    for table in ("features_eventday", "features_eventtally"):
        cursor.execute(f"DELETE FROM {table} WHERE profile_id = ANY(%s)", [ids])  # noqa: S608  # our own names
    cursor.execute(_FOLD_DAYS, [ids])
    cursor.execute(_FOLD_TALLIES, [ids])


# Of the tallies of people whose days were forgotten, what is left of their days.
_FORGET = """
WITH old AS (
    SELECT profile_id, name_id, day FROM features_eventday WHERE day < %s LIMIT %s
), gone AS (
    DELETE FROM features_eventday AS kept USING old
    WHERE (kept.profile_id, kept.name_id, kept.day) = (old.profile_id, old.name_id, old.day)
    RETURNING kept.profile_id, kept.name_id, kept.day, kept.number
)
SELECT profile_id, name_id, sum(number), count(*) FROM gone GROUP BY 1, 2 ORDER BY 1, 2
"""
_LESSEN = """
UPDATE features_eventtally AS kept
SET number = kept.number - lost.number,
    first_at = COALESCE((SELECT min(first_at) FROM features_eventday AS day
                         WHERE day.profile_id = kept.profile_id AND day.name_id = kept.name_id), kept.first_at)
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS lost(profile_id, name_id, number)
WHERE kept.profile_id = lost.profile_id AND kept.name_id = lost.name_id
"""


def tallies_forget(before: datetime, limit: int) -> int:
    """Forget days before a moment, at most so many, and what they had added to the tallies. Returns how many."""
    from_day = before.astimezone(UTC).date()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_FOLD_LOCK])
        cursor.execute(_FORGET, [from_day, limit])
        lost = cursor.fetchall()
        if not lost:
            return 0
        profile_ids, names, numbers = ([row[place] for row in lost] for place in range(3))
        cursor.execute(_LESSEN, [profile_ids, names, numbers])
        cursor.execute(
            "DELETE FROM features_eventtally AS kept"
            " USING unnest(%s::bigint[], %s::bigint[]) AS lost(profile_id, name_id)"
            " WHERE kept.profile_id = lost.profile_id AND kept.name_id = lost.name_id AND kept.number <= 0",
            [profile_ids, names],
        )
    copies_void(profile_ids=sorted(set(profile_ids)))
    return sum(row[3] for row in lost)
