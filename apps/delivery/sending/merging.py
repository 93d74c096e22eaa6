"""What delivery does when two profiles become one: what has not gone out to the absorbed one is withheld.

Messages stay with the number that their decision names; caps and the gate look at all numbers of a person. An undone
merge sends nothing again.
"""

from typing import Any, Final

from django.db import connection

from apps.data.profiles.registry import MergePart, Merging, merge_parts

from .models import Message
from .rules import leaving

MERGED: Final = "merged"
_WITHHOLD: Final = """
UPDATE sending_message SET state = 'withheld', reason = %s, sender_id = NULL, lease_until = NULL,
    finished_at = clock_timestamp()
WHERE profile_id = %s AND state = ANY(%s)
"""


def merging_register() -> None:
    """Called when the app is ready."""
    merge_parts.append(MergePart("messages", _take, _give))


def _take(merging: Merging) -> int:
    waiting = (Message.State.QUEUED, Message.State.RETRY, Message.State.CLAIMED)
    for state in waiting:
        leaving(state, to=Message.State.WITHHELD)
    with connection.cursor() as cursor:
        cursor.execute(_WITHHOLD, [MERGED, merging.absorbed, [str(state) for state in waiting]])
        return int(cursor.rowcount)


def _give(merging: Merging, told: Any) -> None:
    """Nothing: what was withheld is not sent later."""
