"""Which messages were taken already, by exact constraint, for seven days.

A table by day, each with a unique digest of source and message id. A writer looks at the days before and inserts into
today's; two writers of one day meet at the constraint. Of two at midnight the later day's waits until nobody writes
into the day before any more: each holds a shared advisory lock of its day for its transaction, and the day is read
again under that lock. So no message gets past by arriving twice at once, on whichever days.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from hashlib import sha256
from typing import Any, Final

from django.db.backends.utils import CursorWrapper

from apps.foundation.core.postgres import array_text

DAYS: Final = 7
_LOCK: Final = 7303
_DAY: Final = "SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date"
_HOLD: Final = "SELECT pg_advisory_xact_lock_shared(%s, %s), (clock_timestamp() AT TIME ZONE 'UTC')::date"
_WAIT: Final = "SELECT pg_advisory_lock(%s, %s), pg_advisory_unlock(%s, %s)"
# Sorted, so that two writers never wait for each other in a ring.
_MARK: Final = """
INSERT INTO events_messageseen (day, digest)
SELECT %(day)s, told.digest FROM unnest(%(digests)s::uuid[]) AS told(digest)
WHERE NOT EXISTS (SELECT FROM events_messageseen AS known
                  WHERE known.digest = told.digest AND known.day >= %(since)s AND known.day < %(day)s)
ORDER BY told.digest
ON CONFLICT DO NOTHING RETURNING encode(uuid_send(digest), 'hex')
"""


def message_digest(source: str, message_id: str) -> str:
    """What stands for a message: 128 bits of SHA-256 over whose it is and its id, in hex."""
    return sha256(f"{source}\0{message_id}".encode()).hexdigest()[:32]


def messages_mark(cursor: CursorWrapper, digests: Sequence[str]) -> set[str]:
    """Note messages as taken, in the caller's transaction. Returns those that were not taken within seven days."""
    day = _day_hold(cursor)
    told = array_text(sorted(set(digests)))
    cursor.execute(_MARK, {"day": day, "since": day - timedelta(days=DAYS), "digests": told})
    return {row[0] for row in cursor.fetchall()}


def messages_unmark(cursor: CursorWrapper, digests: Sequence[str]) -> None:
    """Forget messages, so that they can be tried again."""
    since = _day_hold(cursor) - timedelta(days=DAYS)
    cursor.execute(
        "DELETE FROM events_messageseen WHERE day >= %s AND digest = ANY(%s::text[]::uuid[])",
        [since, list(digests)],
    )


def _day_hold(cursor: CursorWrapper) -> date:
    """The day that this transaction writes into; nobody writes into the day before any more."""
    cursor.execute(_DAY)
    day: date = cursor.fetchone()[0]
    while True:
        cursor.execute(_HOLD, [_LOCK, day.toordinal()])
        still: Any = cursor.fetchone()[1]
        if still == day:
            break
        day = still
    before = [_LOCK, day.toordinal() - 1]
    cursor.execute(_WAIT, [*before, *before])
    return day
