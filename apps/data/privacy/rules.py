"""The clock and the states of a rights request. Pure."""

import calendar
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from apps.foundation.core.errors import Conflict

MONTHS: Final = 1
"""How long there is to answer, from when it was asked (GDPR, Article 12(3))."""
MONTHS_MORE: Final = 2
"""By how much that can be extended, once, telling the person why (the same)."""

STEPS: Final[Mapping[str, frozenset[str]]] = {
    "open": frozenset({"working", "done", "refused", "withdrawn"}),
    "working": frozenset({"done", "refused", "open"}),
    "done": frozenset(),
    "refused": frozenset(),
    "withdrawn": frozenset(),
}
"""State → the states that may follow."""


def step_check(state: str, to: str) -> None:
    """Raise Conflict for a step that there is not."""
    if to not in STEPS[state]:
        raise Conflict("request_closed", f"This request is {state} already: nothing was changed")


def months_later(at: datetime, months: int) -> datetime:
    """The same day and hour, months later; the month's last day where it has no such day (Regulation (EEC, Euratom)
    1182/71, Article 3(2)(c))."""
    month = at.month - 1 + months
    year, month = at.year + month // 12, month % 12 + 1
    return at.replace(year=year, month=month, day=min(at.day, calendar.monthrange(year, month)[1]))


def due_of(asked_at: datetime, *, extended: bool = False) -> datetime:
    """By when a request must be answered."""
    return months_later(asked_at, MONTHS + (MONTHS_MORE if extended else 0))


def days_left(due_at: datetime, at: datetime) -> int:
    """Whole days until a request is due; below 0 once it is overdue."""
    return (due_at.date() - at.date()).days if due_at >= at else min(-1, (due_at.date() - at.date()).days)
