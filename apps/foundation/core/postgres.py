"""COPY, for the places where rows come by the thousand; reads of people that apps share; plans that are kept."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from io import BytesIO, StringIO
from itertools import accumulate
from typing import Any, TypeVar
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Model
from psycopg2 import sql
from psycopg2.errors import QueryCanceled

T = TypeVar("T")

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": None})
_SPECIAL = re.compile(r"[\\\n\r\t\0]").search


def copy_value(value: object) -> str:
    """One value in COPY's text format (PostgreSQL, «COPY», File Formats). NUL is dropped: text can't hold it.

    Hot: rows pass here by the million. Raises TypeError for a type it does not know.
    """
    write = _WRITERS.get(type(value))
    if write is not None:
        return write(value)
    for kind, write in _WRITERS.items():
        if isinstance(value, kind):
            return write(value)
    raise TypeError(f"COPY of {type(value).__name__} is not provided for")


def _text(value: str) -> str:
    return value.translate(_ESCAPES) if _SPECIAL(value) else value


def _json(value: object) -> str:
    return json.dumps(_without_nul(value), ensure_ascii=False).translate(_ESCAPES) if value else str(value)


def _without_nul(value: object) -> object:
    """JSON without NUL in its texts: jsonb can't hold it."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nul(item) for item in value]
    return value


_WRITERS: dict[type, Callable[[Any], str]] = {
    type(None): lambda value: "\\N",
    str: _text,
    bool: lambda value: "t" if value else "f",
    int: str,
    float: str,
    Decimal: str,
    UUID: str,
    datetime: datetime.isoformat,
    bytes: lambda value: "\\\\x" + value.hex(),
    dict: _json,
    list: _json,
}
"""By type; a subclass goes by the first that it is of, so `bool` stands before `int`."""


def array_text(plain: Iterable[str]) -> str:
    """An array as PostgreSQL writes it (PostgreSQL, «Arrays»), for a parameter that the statement casts.

    For the hot path, where psycopg2 takes four times as long for the values one by one. plain: values as text without
    any character that would need quoting: numbers, digests in hex, dates, moments in ISO 8601.
    """
    return "{" + ",".join(plain) + "}"


def commit_lazily() -> None:
    """Have the caller's transaction answered before it is on the disk: for a step that is done again where a crash of
    the database loses it. Whatever commits as usual behind it brings it to the disk too (PostgreSQL, «Asynchronous
    Commit»)."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")


def within(milliseconds: int, read: Callable[[], T]) -> T | None:
    """What a read gives whose statements take no longer each; None if one does."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('statement_timeout')")
            before = cursor.fetchone()[0]
            cursor.execute("SELECT set_config('statement_timeout', %s, TRUE)", (str(milliseconds),))
            found = read()
            cursor.execute("SELECT set_config('statement_timeout', %s, TRUE)", (before,))
            return found
    except OperationalError as fault:
        if isinstance(fault.__cause__, QueryCanceled):
            return None
        raise


def rows_about(model: type[Model], *, few: int) -> int:
    """How many rows a table has: counted up to `few`; above that what PostgreSQL believes, as counting is slow."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [model._meta.db_table])
        about: int = cursor.fetchone()[0]
    return about if about > few else model._default_manager.count()


def ids_text(ids: Iterable[int]) -> str:
    """Ids as the text of an array, for `%s::bigint[]`. As a list they take ten times as long, on both sides."""
    return array_text(map(str, ids))


def bytes_text(values: Iterable[bytes]) -> str:
    """Bytes as the text of an array, for `%s::bytea[]`."""
    return array_text([f'"\\\\x{value.hex()}"' for value in values])


def texts_text(values: Iterable[str]) -> str:
    """Texts as the text of an array, for `%s::text[]`, whatever is in them."""
    return array_text([f'"{value}"' if value.isalnum() else _quoted(value) for value in values])


def _quoted(value: str) -> str:
    backslashed = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{backslashed}"'


def copy_rows(cursor: CursorWrapper, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """COPY rows into a table, in the transaction of the cursor. Returns how many.

    The rows are held as text while they are sent: give some thousands at a time.
    """
    buffer, count = _written(rows)
    copy_text(cursor, table, columns, buffer)
    return count


def copy_batches(
    cursor: CursorWrapper, table: str, columns: Sequence[str], batches: Iterable[Callable[[], Iterable[Sequence[Any]]]]
) -> int:
    """COPY batches of rows, in the transaction of the cursor. Returns how many rows.

    While the server takes a batch in, the rows of the next one are made: a batch is a function that gives them, and
    must not use the connection; what gives the batches may. Two batches are held as text.
    """
    count = 0
    with ThreadPoolExecutor(1, thread_name_prefix="copy") as server:
        sent: Future[None] | None = None
        held: StringIO | None = None
        for batch in batches:
            if held is not None:
                sent = server.submit(copy_text, cursor, table, columns, held)
            held, rows = _written(batch())
            count += rows
            if sent is not None:
                sent.result()
        if held is not None:
            copy_text(cursor, table, columns, held)
    return count


def _written(rows: Iterable[Sequence[Any]]) -> tuple[StringIO, int]:
    buffer = StringIO()
    count, writers = 0, _WRITERS
    for row in rows:
        try:
            line = "\t".join([writers[type(value)](value) for value in row])
        except KeyError:  # a subclass of one of these, as a rule
            line = "\t".join(map(copy_value, row))
        buffer.write(line)
        buffer.write("\n")
        count += 1
    buffer.seek(0)
    return buffer, count


def copy_text(cursor: CursorWrapper, table: str, columns: Sequence[str], rows: StringIO | BytesIO) -> None:
    """COPY what is written in COPY's text format already. Raises the errors of django.db."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    raw = cursor.cursor
    with cursor.db.wrap_database_errors:
        raw.copy_expert(statement.as_string(raw.connection), rows)


@dataclass(frozen=True, slots=True)
class Part:
    """What one app reads of people in a statement that several share. The person is `person.id`.

    columns: SQL of what is read; joins, withs: what they need, written once where several parts need the same.
    """

    columns: tuple[str, ...]
    joins: tuple[str, ...] = ()
    withs: tuple[str, ...] = ()


def looked_up(table: str, alias: str, where: str, *, must: bool = False) -> str:
    """A join with the one row of a table that `where` finds by an index, looked up for each row that stands before it.

    must: who has none is left out. As an ordinary join of some hundreds of people PostgreSQL would read all of the
    table and hash it, each time, or go by figures of a table that is not any more what it was when it was counted.
    """
    kind, on = ("CROSS JOIN", "") if must else ("LEFT JOIN", " ON TRUE")
    return f"{kind} LATERAL (SELECT * FROM {table} WHERE {where} LIMIT 1) AS {alias}{on}"  # noqa: S608  # our own texts


@lru_cache(maxsize=256)
def _people_statement(parts: tuple[Part, ...]) -> tuple[str, tuple[slice, ...]]:
    withs = dict.fromkeys(one for part in parts for one in part.withs)
    joins = dict.fromkeys(one for part in parts for one in part.joins)
    columns = [column for part in parts for column in part.columns]
    begun = f"WITH {', '.join(withs)} " if withs else ""
    ends = list(accumulate(len(part.columns) for part in parts))
    places = tuple(slice(1 + end - len(part.columns), 1 + end) for part, end in zip(parts, ends, strict=True))
    return (
        f"{begun}SELECT person.id, {', '.join(columns)} FROM unnest(%(people)s::bigint[]) AS person(id) "  # noqa: S608
        + " ".join(joins),
        places,
    )


def people_select(
    parts: Sequence[Part], people: Iterable[int], params: Mapping[str, Any]
) -> dict[int, list[tuple[Any, ...]]]:
    """What parts read of people, in one statement: by id, for each part its columns."""
    statement, places = _people_statement(tuple(parts))
    rows = planned_rows(statement, {**params, "people": ids_text(people)})
    return {row[0]: [row[place] for place in places] for row in rows}


class Plans(dict[str, tuple[str, tuple[str, ...]]]):
    """What a connection keeps planned, by statement: how it is executed by its plan, and its parameters' names.

    of: psycopg2's connection that has these plans; Django's, once connected anew, has none.
    """

    of: Any = None


def plans_keep() -> None:
    """Have this thread's connection keep plans from now on (`planned_rows`): for who executes the same statements over
    and over."""
    database = connections[DEFAULT_DB_ALIAS]
    if getattr(database, "plans", None) is None:
        database.plans = Plans()  # type: ignore[attr-defined]


_PARAMETER = re.compile(r"%\((\w+)\)s(::\w+(?:\[\])?)?|%%")
_PLANS_MOST = 200


def planned_rows(statement: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Execute a statement with named parameters, and give the rows that it returns.

    A connection that keeps plans (`timely.py`, `plans_keep`) plans it once, as a small read over many joins takes
    longer to plan than to do; and Django's cursors, which are a tenth of what such a read costs, are passed by.
    """
    database = connections[DEFAULT_DB_ALIAS]
    plans: Plans | None = getattr(database, "plans", None)
    if plans is None:
        with database.cursor() as cursor:
            cursor.execute(statement, params)
            return cursor.fetchall() if cursor.description else []
    database.ensure_connection()
    if plans.of is not database.connection:
        plans.clear()
        plans.of = database.connection
    with database.wrap_database_errors, database.create_cursor() as raw:
        execute, order = plans.get(statement) or _planned(raw, plans, statement)
        raw.execute(execute, [params[name] for name in order])
        return raw.fetchall() if raw.description else []


def _planned(raw: Any, plans: Plans, statement: str) -> tuple[str, tuple[str, ...]]:
    """Have a statement planned: how it is executed by its plan, and the names of its parameters in their order."""
    if len(plans) >= _PLANS_MOST:
        raw.execute("DEALLOCATE ALL")
        plans.clear()
    casts: dict[str, str] = {}
    for name, cast in _PARAMETER.findall(statement):
        if name:
            casts[name] = casts.get(name) or cast
    order = tuple(casts)
    text = _PARAMETER.sub(lambda found: f"${order.index(found[1]) + 1}{found[2] or ''}" if found[1] else "%", statement)
    number = f"plan_{len(plans)}"
    raw.execute(f"PREPARE {number} AS {text}")
    given = ", ".join(f"%s{cast}" for cast in casts.values())
    known = plans[statement] = (f"EXECUTE {number} ({given})" if given else f"EXECUTE {number}", order)
    return known
