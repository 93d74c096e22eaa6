"""COPY, for the places where rows come by the thousand."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import UUID

from django.db.backends.utils import CursorWrapper
from psycopg2 import sql

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": None})


def copy_value(value: object) -> str:
    """One value in COPY's text format (PostgreSQL, «COPY», File Formats). NUL is dropped: text can't hold it.

    Raises TypeError for a type it does not know.
    """
    if value is None:
        return "\\N"
    if isinstance(value, str):
        return value.translate(_ESCAPES)
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, int | float | Decimal | UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return "\\\\x" + value.hex()
    if isinstance(value, dict | list):
        return json.dumps(_without_nul(value), ensure_ascii=False).translate(_ESCAPES)
    raise TypeError(f"COPY of {type(value).__name__} is not provided for")


def _without_nul(value: object) -> object:
    """JSON without NUL in its texts: jsonb can't hold it."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nul(item) for item in value]
    return value


def copy_rows(cursor: CursorWrapper, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """COPY rows into a table, in the transaction of the cursor. Returns how many.

    The rows are held as text while they are sent: give some thousands at a time.
    """
    buffer = StringIO()
    count = 0
    for row in rows:
        buffer.write("\t".join(map(copy_value, row)))
        buffer.write("\n")
        count += 1
    buffer.seek(0)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    raw = cursor.cursor
    raw.copy_expert(statement.as_string(raw.connection), buffer)
    return count
