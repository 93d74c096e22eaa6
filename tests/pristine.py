"""Emptying the database behind a test that committed: back to what the migrations left, and no slower than it must be.

Django empties every table and then runs all that follows a migration. Here only tables with rows are emptied, and
those into which migrations had put some get these back.
"""

from collections.abc import Collection
from time import sleep

from django.db import connection, transaction
from django.db.backends.postgresql.psycopg_any import sql
from django.db.backends.utils import CursorWrapper

_SCHEMA = sql.Identifier("pristine")


def _filled(cursor: CursorWrapper, tables: list[str]) -> list[str]:
    """Those of the tables that have rows."""
    asked = [
        sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(sql.Literal(table), sql.Identifier(table))
        for table in tables
    ]
    cursor.execute(sql.SQL(" UNION ALL ").join(asked))
    return [name for (name,) in cursor.fetchall()]


def _tables() -> list[str]:
    return list(connection.introspection.django_table_names(only_existing=True, include_views=False))


def rows_written(*, leaving_out: Collection[str] = ()) -> int:
    """How many rows this transaction has added, changed or taken away so far, undone ones too.

    Where it is the same before and behind something, nothing was changed: quicker than looking at every row.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_xact_user_tables"
            " WHERE schemaname = 'public' AND relname <> ALL(%s)",
            [list(leaving_out)],
        )
        return int(cursor.fetchone()[0])


def rows_keep() -> None:
    """Put aside what the migrations left, once in a database; call it before anything was committed."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT FROM information_schema.schemata WHERE schema_name = 'pristine'")
        if cursor.fetchone() is not None:
            return
        cursor.execute(sql.SQL("CREATE SCHEMA {}").format(_SCHEMA))
        for table in _filled(cursor, _tables()):
            name = sql.Identifier(table)
            cursor.execute(sql.SQL("CREATE TABLE {}.{} AS TABLE {}").format(_SCHEMA, name, name))


def _others_end_theirs(cursor: CursorWrapper) -> None:
    """Wait until nobody else is in the middle of something: an answer to a page that is closed already, say.

    Emptying beside it would wait for its locks and it for ours, and what it writes afterwards would stay.
    """
    for _ in range(500):
        cursor.execute(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend' AND state <> 'idle'"
        )
        if cursor.fetchone() is None:
            return
        sleep(0.01)


def rows_reset() -> None:
    """Make the database what it was at `rows_keep`."""
    with connection.cursor() as cursor:
        _others_end_theirs(cursor)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'pristine'")
        kept = {name for (name,) in cursor.fetchall()}
        filled = _filled(cursor, _tables())
        changed = [table for table in filled if table not in kept or not _same(cursor, table)]
        if changed:
            names = sql.SQL(", ").join(map(sql.Identifier, changed))
            cursor.execute(sql.SQL("TRUNCATE {} CASCADE").format(names))
        for table in sorted(kept - set(_filled(cursor, sorted(kept)))):
            name = sql.Identifier(table)
            cursor.execute(sql.SQL("INSERT INTO {} TABLE {}.{}").format(name, _SCHEMA, name))


def _same(cursor: CursorWrapper, table: str) -> bool:
    """Whether a table has just the rows that the migrations left."""
    name = sql.Identifier(table)
    cursor.execute(
        sql.SQL(
            "SELECT (SELECT count(*) FROM {0}) = (SELECT count(*) FROM {1}.{0})"
            " AND NOT EXISTS (TABLE {0} EXCEPT TABLE {1}.{0})"
        ).format(name, _SCHEMA)
    )
    return bool(cursor.fetchone()[0])
