"""What playbooks merge: journeys and memberships, so that one person has one journey for an occasion.

A journey that the kept one has too stays with its number and ends: they are not written to twice.
"""

from collections.abc import Mapping
from typing import Any, Final

from apps.data.profiles.merge_rows import rows_kept, rows_move, rows_move_back
from apps.data.profiles.registry import MergePart, Merging, merge_parts
from apps.foundation.core.clock import now

from .models import Journey

MERGED: Final = "merged"


def merging_register() -> None:
    """Called when the app is ready."""
    merge_parts.append(MergePart("journeys", _take, _give))


def _take(merging: Merging) -> dict[str, Any]:
    moved = rows_move("playbooks_journey", of=merging.absorbed, to=merging.kept, apart=("playbook_id", "occasion_key"))
    doubled = Journey.objects.filter(profile_id=merging.absorbed, state=Journey.State.ACTIVE)
    ended = rows_kept("playbooks_journey", "profile_id = %s AND state = 'active'", [merging.absorbed])
    doubled.update(state=Journey.State.EXITED, due_at=None, ended_at=now(), reason=MERGED)
    members = rows_move("playbooks_member", of=merging.absorbed, to=merging.kept, apart=("playbook_id",))
    return {"moved": moved, "ended": [[row["id"], row["due_at"]] for row in ended], "members": members}


def _give(merging: Merging, told: Mapping[str, Any]) -> None:
    rows_move_back("playbooks_journey", told["moved"], of=merging.kept, to=merging.absorbed)
    rows_move_back("playbooks_member", told["members"], of=merging.kept, to=merging.absorbed)
    for journey_id, due_at in told["ended"]:
        Journey.objects.filter(pk=journey_id, state=Journey.State.EXITED, reason=MERGED).update(
            state=Journey.State.ACTIVE, due_at=due_at, ended_at=None, reason=""
        )
