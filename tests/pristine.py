"""Emptying the database behind a test that committed: back to what the migrations left, and no slower than it must be.

Django empties every table and then runs all that follows a migration. Here only tables with rows are emptied, and
those into which migrations had put some get these back
([313](../docs/adr/0313-rows-behind-a-test-are-deleted-and-its-connection-goes-on.md)).
"""

from collections.abc import Collection
from functools import cache
from time import sleep

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.backends.postgresql.psycopg_any import sql
from django.db.backends.utils import CursorWrapper

_SCHEMA = sql.Identifier("pristine")
_LARGE = 4 * 1024**2
"""Bytes from which a table is emptied as a whole: what is deleted leaves its place behind, to be read over."""


def _filled(cursor: CursorWrapper, tables: list[str]) -> list[str]:
    """Those of the tables that have rows."""
    if not tables:
        return []
    asked = [
        sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(sql.Literal(table), sql.Identifier(table))
        for table in tables
    ]
    cursor.execute(sql.SQL(" UNION ALL ").join(asked))
    return [name for (name,) in cursor.fetchall()]


@cache
def _tables() -> list[str]:
    return list(connection.introspection.django_table_names(only_existing=True, include_views=False))


def _written(cursor: CursorWrapper) -> dict[str, int]:
    """Those with rows, partitions by their own names, and the bytes of each: where there are none is no row either."""
    cursor.execute(
        "SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind = 'r' AND coalesce(pg_partition_root(oid)::regclass, oid::regclass)::text = ANY(%s)"
        " AND pg_relation_size(oid) > 0",
        [_tables()],
    )
    sizes = dict(cursor.fetchall())
    return {name: sizes[name] for name in _filled(cursor, list(sizes))}


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
    """Make the database what it was at `rows_keep`.

    Rows are deleted without any trigger or reference being asked, where that is allowed, as what is left is whole
    again: to empty a table as a whole gives it, and all that refer to it, new files, and takes half a second.
    """
    with connection.cursor() as cursor:
        _others_end_theirs(cursor)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'pristine'")
        kept = {name for (name,) in cursor.fetchall()}
        sizes = _written(cursor)
        changed = [table for table in sizes if table not in kept or not _same(cursor, table)]
        if not changed:
            return
        quick = _may_be_alone(cursor)
        large = [table for table in changed if not quick or sizes[table] > _LARGE]
        if quick:
            cursor.execute("SET LOCAL session_replication_role = replica")
        if large:
            names = sql.SQL(", ").join(map(sql.Identifier, large))
            cursor.execute(sql.SQL("TRUNCATE {} CASCADE").format(names))
        deeds = [sql.SQL("DELETE FROM {}").format(sql.Identifier(table)) for table in changed if table not in large]
        if deeds:
            cursor.execute(sql.SQL("; ").join(deeds))
        for table in sorted(kept - set(_filled(cursor, sorted(kept)))):
            name = sql.Identifier(table)
            cursor.execute(sql.SQL("INSERT INTO {} TABLE {}.{}").format(name, _SCHEMA, name))


def _may_be_alone(cursor: CursorWrapper) -> bool:
    """Whether this role may leave triggers and references out: on the servers of `bin/test` it may."""
    cursor.execute("SELECT has_parameter_privilege('session_replication_role', 'SET')")
    return bool(cursor.fetchone()[0])


def session_is_spent() -> bool:
    """Make this thread's connection to the database what a new one is; whether a new one has to be made instead.

    Behind each test that commits Django closes it. Another one costs a backend that knows of no table yet, a tenth of a
    second for what reads much.
    """
    if connection.connection is None or connection.in_atomic_block or not connection.get_autocommit():
        return True
    try:
        with connection.cursor() as cursor:
            cursor.execute("DISCARD ALL")
        connection.init_connection_state()
        if (plans := getattr(connection, "plans", None)) is not None:
            plans.clear()  # the statements that were prepared are gone
    except (DatabaseError, InterfaceError):
        return True
    return False


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
