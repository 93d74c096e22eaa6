"""Rows that go from one person to another and back, and rows kept as they were. Names of tables are our own."""

import json
from collections.abc import Sequence
from typing import Any

from django.db import connection


def rows_move(table: str, *, of: int, to: int, apart: Sequence[str] = ()) -> list[Any]:
    """Give a person's rows to another. Returns their ids.

    apart: columns in which two rows of one person must differ; a row that would meet one of the other's stays.
    """
    there = ""
    if apart:
        same = " AND ".join(f"other.{name} = held.{name}" for name in apart)
        there = f" AND NOT EXISTS (SELECT FROM {table} AS other WHERE other.profile_id = %(to)s AND {same})"
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} AS held SET profile_id = %(to)s"  # noqa: S608
            f" WHERE held.profile_id = %(of)s{there} RETURNING held.id",
            {"of": of, "to": to},
        )
        return sorted(row[0] for row in cursor.fetchall())


def rows_move_back(table: str, ids: Sequence[Any], *, of: int, to: int) -> None:
    """Give rows that `rows_move` moved back to whose they were. What somebody else has by now stays."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET profile_id = %s WHERE id = ANY(%s) AND profile_id = %s",  # noqa: S608
            [to, list(ids), of],
        )


def rows_kept(table: str, where: str, params: Sequence[int]) -> list[dict[str, Any]]:
    """Rows as JSON from which `rows_put_back` makes the same rows again, to the byte."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT to_jsonb(held) FROM {table} AS held WHERE {where} ORDER BY 1", params)  # noqa: S608
        return [_json(row[0]) for row in cursor.fetchall()]


def rows_put_back(table: str, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows of `rows_kept`."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} SELECT * FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)",  # noqa: S608
            [json.dumps(list(rows))],
        )


def _json(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(value) if isinstance(value, str) else value
    return found
