"""What events merge: events, orders, tickets and devices become the kept one's; what nobody knows of them stays so."""

from functools import partial
from typing import Any, Final

from apps.data.profiles.merge_rows import rows_move, rows_move_back
from apps.data.profiles.registry import MergePart, Merging, merge_parts

TABLES: Final = ("events_event", "events_order", "events_ticket", "events_visitor")


def merging_register() -> None:
    """Called when the app is ready."""
    for table in TABLES:
        merge_parts.append(MergePart(table, partial(_take, table), partial(_give, table)))


def _take(table: str, merging: Merging) -> list[Any]:
    return rows_move(table, of=merging.absorbed, to=merging.kept)


def _give(table: str, merging: Merging, ids: list[Any]) -> None:
    rows_move_back(table, ids, of=merging.kept, to=merging.absorbed)
