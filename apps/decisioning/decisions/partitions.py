"""Answers by day, and decisions by age: made ahead, dropped and deleted by the database owner's functions, since the
application's role may do neither (migrations 0010 and 0011)."""

from datetime import UTC, datetime
from typing import Any, Final

from django.db import connection, transaction

from apps.foundation.core.ids import uuid7_first

from .models import Answer

DAYS_AHEAD: Final = 7


def answers_make(at: datetime) -> int:
    """Make what tables of answers are missing from a moment on, and ahead of it. Returns how many were made."""
    return _call("SELECT decisions_answers_make(%s, %s)", [at, DAYS_AHEAD])


def answers_forget(before: datetime, limit: int) -> int:
    """Drop the days of answers that lie wholly before a moment; returns how many answers went.

    Of those from before there were days, and of those for which no day had been made, at most `limit` are deleted.
    """
    gone = _call("SELECT decisions_answers_drop(%s)", [before])
    first = uuid7_first(before.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0))
    left = Answer.objects.filter(pk__lt=first).order_by("pk").values_list("pk", flat=True)[:limit]
    return gone + Answer.objects.filter(pk__in=list(left)).delete()[0]


def decisions_forget(before: datetime, limit: int) -> int:
    """Delete the oldest decisions from before a moment, at most `limit`, and return how many went.

    Those that a digest's piece or a limit of items still needs stay, and none goes within 100 days.
    """
    return _call("SELECT decisions_forget(%s, %s)", [before, limit])


def _call(statement: str, values: list[Any]) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.fetchone()[0])
