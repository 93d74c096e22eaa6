"""Whether what a process keeps in its memory is still what the tables say.

Triggers put a `Stamp` for each statement that changes what is kept, in the transaction of the change. So a reader who
sees the change sees another stamp: read in the statement that reads all else, it says which of its memories hold. A
kind's stamps never are again what they were before, as each commit leaves a row with a new number.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from django.db import connection

STAMPS: Final = "(SELECT string_agg(kind || '=' || id, ' ' ORDER BY kind, id) FROM core_stamp)"
"""SQL of all stamps, as a text for `stamps_of`."""


@lru_cache(maxsize=16)
def stamps_of(text: str | None) -> Mapping[str, str]:
    """By kind, what its stamps are; kinds without one are missing."""
    found: dict[str, str] = {}
    for stamp in (text or "").split():
        kind, _, number = stamp.partition("=")
        found[kind] = f"{found[kind]} {number}" if kind in found else number
    return found


def stamps_read() -> Mapping[str, str]:
    """The stamps as they are now."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {STAMPS}")
        return stamps_of(cursor.fetchone()[0])


def stamping(kind: str, table: str, *, columns: str = "") -> tuple[str, str]:
    """SQL for a migration that has a table's changes stamped, and its reverse. columns: those whose UPDATE counts,
    all unless given. Depend on core's `0001_stamps`."""
    of = f" OF {columns}" if columns else ""
    return (
        f"CREATE TRIGGER {table}_stamp AFTER INSERT OR DELETE OR UPDATE{of} ON {table}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION core_stamp_put('{kind}');"
        f"CREATE TRIGGER {table}_stamp_all AFTER TRUNCATE ON {table}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION core_stamp_put('{kind}');",
        f"DROP TRIGGER {table}_stamp ON {table}; DROP TRIGGER {table}_stamp_all ON {table};",
    )
