"""The tables by month and day: made ahead, dropped when all in them is too old.

The functions are the database owner's, since the application's role may not make tables (migration 0003).
"""

from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction

from .duplicates import DAYS

MONTHS_AHEAD: Final = 3
DAYS_AHEAD: Final = 7


def partitions_make(at: datetime) -> int:
    """Make what is missing from a moment on, and ahead of it. Returns how many tables were made."""
    return _call("SELECT events_partitions_make(%s, %s, %s)", [at, MONTHS_AHEAD, DAYS_AHEAD])


def partitions_drop(*, events_before: datetime, at: datetime) -> int:
    """Drop months that lie wholly before a moment, and days of messages that nobody asks for; how many events went."""
    seen_before = (at - timedelta(days=DAYS + 1)).date()
    return _call("SELECT events_partitions_drop(%s, %s)", [events_before, seen_before])


def _call(statement: str, values: list[Any]) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.fetchone()[0])
