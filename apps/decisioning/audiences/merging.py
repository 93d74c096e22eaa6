"""What audiences merge: who is in a watched one, so that a merge is neither an entry nor an exit."""

from typing import Any

from apps.data.profiles.merge_rows import rows_move, rows_move_back
from apps.data.profiles.registry import MergePart, Merging, merge_parts

_TABLE = "audiences_audiencemember"


def merging_register() -> None:
    """Called when the app is ready."""
    merge_parts.append(MergePart("audiences", _take, _give))


def _take(merging: Merging) -> Any:
    return rows_move(_TABLE, of=merging.absorbed, to=merging.kept, apart=("audience_id",))


def _give(merging: Merging, moved: Any) -> None:
    rows_move_back(_TABLE, moved, of=merging.kept, to=merging.absorbed)
