"""The projection of the ledger, made anew: what holds by the records, compared with what is written down as holding."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from django.db import connection, transaction

from apps.foundation.core.live import live_publish

from .services import gate_lock

_BATCH: Final = 5_000

# lines of a merge that was undone are taken back by a line with the same source
_NEWEST: Final = """
SELECT DISTINCT ON (profile_id, purpose_id, channel)
       profile_id, purpose_id, channel, action = 'grant' AS granted, id AS record_id, occurred_at AS changed_at
FROM consent_consentrecord AS record
WHERE record.action <> 'void' {where}
  AND NOT (record.method = 'merge' AND EXISTS (
    SELECT FROM consent_consentrecord AS void
    WHERE void.profile_id = record.profile_id AND void.purpose_id = record.purpose_id
      AND void.channel = record.channel AND void.action = 'void' AND void.source = record.source))
ORDER BY profile_id, purpose_id, channel, occurred_at DESC, id DESC
"""
_DIFFERENCES: Final = f"""
SELECT coalesce(state.profile_id, newest.profile_id), coalesce(state.purpose_id, newest.purpose_id),
       coalesce(state.channel, newest.channel), newest.granted, state.granted, newest.record_id, state.record_id
FROM ({_NEWEST.format(where="")}) AS newest
FULL JOIN consent_consentstate AS state USING (profile_id, purpose_id, channel)
WHERE (newest.granted, newest.record_id, newest.changed_at)
      IS DISTINCT FROM (state.granted, state.record_id, state.changed_at)
ORDER BY 1, 2, 3
"""  # noqa: S608  # a text of our own
_FORGET: Final = "DELETE FROM consent_consentstate WHERE profile_id = ANY(%s)"
_WRITE: Final = f"""
INSERT INTO consent_consentstate (profile_id, purpose_id, channel, granted, record_id, changed_at)
{_NEWEST.format(where="AND record.profile_id = ANY(%s)")}
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One choice of which ledger and projection don't say the same. None: nothing is there."""

    profile_id: int
    purpose: str
    channel: str
    by_ledger: bool | None
    by_state: bool | None


def differences() -> Iterator[Difference]:
    """Where the projection is not what the ledger says, in order. One statement; in memory of a constant size."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DECLARE consent_differences NO SCROLL CURSOR FOR {_DIFFERENCES}")
        while True:
            cursor.execute(f"FETCH {_BATCH} FROM consent_differences")
            rows = cursor.fetchall()
            if not rows:
                break
            for profile_id, purpose, channel, by_ledger, by_state, *_ in rows:
                yield Difference(profile_id, purpose, channel, by_ledger, by_state)
        cursor.execute("CLOSE consent_differences")


def rebuild() -> int:
    """Write the projection anew for all of whom it is wrong. Returns how many people.

    Each batch under the gates of its people, so that no choice made meanwhile is lost; stopped in the middle, what is
    done is done.
    """
    wrong = sorted({difference.profile_id for difference in differences()})
    for start in range(0, len(wrong), _BATCH):
        ids = wrong[start : start + _BATCH]
        with transaction.atomic():
            gate_lock(profile_ids=ids)
            with connection.cursor() as cursor:
                cursor.execute(_FORGET, [ids])
                cursor.execute(_WRITE, [ids])
                cursor.execute("UPDATE consent_gate SET version = version + 1 WHERE profile_id = ANY(%s)", [ids])
            transaction.on_commit(partial(live_publish, *(f"profile-{profile_id}" for profile_id in ids)))
    return len(wrong)
