"""Changing keys while everything runs: master keys, data keys, lookup keys.

Each step is a batch in a transaction of its own, and what is left to do is read from the rows themselves: so it can be
stopped or killed anywhere, and begun again. Readers never wait and never fail, because what is new is written before
what is old is let go of: all master keys in MASTER_KEYS unwrap, a value names the version of its data key, old data
keys stay for an hour after their successors came, and lookups try the digests of all live versions.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg2 import sql

from apps.foundation.core.clock import now
from apps.foundation.core.crypto import key_make

from .attributes import attribute_digests_old, attributes_redigest
from .lookup import digest_followers, digests_by_version, digests_old, identifiers_redigest, lookup_newest
from .models import KeyRotation
from .vault import (
    HOLD,
    Erased,
    Place,
    SealedColumn,
    Tampered,
    key_unwrap,
    key_wrap,
    sealed_columns,
    vault_open,
)

BATCH: Final = 500
KEPT: Final = timedelta(hours=1)
"""How long an old data key stays after its successor: longer than any batch that still seals with it."""
Progress = Callable[[str, int], None]

_MASTERS: Final = """
SELECT profile_id, version, master, wrapped FROM profiles_profilekey
WHERE master <> %s AND wrapped <> '' AND (profile_id, version) > (%s, %s)
ORDER BY profile_id, version LIMIT %s FOR NO KEY UPDATE
"""
_REWRAP: Final = """
UPDATE profiles_profilekey AS key SET master = %s, wrapped = new.wrapped
FROM unnest(%s::bigint[], %s::int[], %s::bytea[]) AS new(profile_id, version, wrapped)
WHERE key.profile_id = new.profile_id AND key.version = new.version AND key.wrapped <> ''
"""
_WITHOUT_SUCCESSOR: Final = """
SELECT profile_id, max(version) FROM profiles_profilekey
WHERE profile_id > %s GROUP BY profile_id
HAVING bool_and(destroyed_at IS NULL) AND max(made_at) < %s ORDER BY profile_id LIMIT %s
"""
# a person who was erased meanwhile gets no successor: they and their empty row are locked and looked at first
_SUCCESSORS: Final = f"""
WITH person AS ({HOLD}),
held AS (
  SELECT profile_id FROM profiles_profilekey WHERE profile_id IN (SELECT id FROM person) AND wrapped <> ''
  FOR NO KEY UPDATE)
INSERT INTO profiles_profilekey (profile_id, version, master, wrapped, made_at)
SELECT new.profile_id, new.version, %s, new.wrapped, clock_timestamp()
FROM unnest(%s::bigint[], %s::int[], %s::bytea[]) AS new(profile_id, version, wrapped)
WHERE new.profile_id IN (SELECT profile_id FROM held) ON CONFLICT DO NOTHING
"""  # noqa: S608  # texts of our own
_OUTLIVED: Final = """
SELECT old.profile_id, old.version FROM profiles_profilekey AS old
WHERE old.wrapped <> '' AND EXISTS (
  SELECT FROM profiles_profilekey AS newer
  WHERE newer.profile_id = old.profile_id AND newer.version > old.version AND newer.made_at < %s)
"""


def masters_rotate(progress: Progress) -> int:
    """Wrap all data keys with the newest master key. Returns how many. Raises MasterKeyMissing."""
    newest, done, after = next(iter(settings.MASTER_KEYS)), 0, (0, 0)
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_MASTERS, [newest, *after, BATCH])
            rows = cursor.fetchall()
            if not rows:
                return done
            after = rows[-1][:2]
            wrapped = [
                key_wrap(profile_id, version, key_unwrap(profile_id, version, master, bytes(stored)))[1]
                for profile_id, version, master, stored in rows
            ]
            cursor.execute(_REWRAP, [newest, [row[0] for row in rows], [row[1] for row in rows], wrapped])
        done += len(rows)
        progress("data keys wrapped with the newest master key", done)


def data_keys_rotate(progress: Progress) -> int:
    """Give everybody a new data key, and seal with it what was sealed with older ones. Returns the values sealed anew.

    An unfinished rotation goes on; who has their new key already gets no second one. Raises MasterKeyMissing.
    """
    going = KeyRotation.objects.filter(finished_at=None).order_by("pk").first() or KeyRotation.objects.create()
    made = after = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_WITHOUT_SUCCESSOR, [after, going.started_at, BATCH])
            rows = [(profile_id, version + 1) for profile_id, version in cursor.fetchall()]
            if not rows:
                break
            after = rows[-1][0]
            people = [(profile_id, version) for profile_id, version in rows if version <= 255]
            wrapped = [key_wrap(profile_id, version, key_make()) for profile_id, version in people]
            ids, versions = [one[0] for one in people], [one[1] for one in people]
            master = next(iter(settings.MASTER_KEYS))
            cursor.execute(_SUCCESSORS, [ids, master, ids, versions, [stored for _, stored in wrapped]])
        made += len(rows)
        progress("people with a new data key", made)
    sealed = 0
    for column in sealed_columns():
        if _may_change(column):
            for count in _column_reseal(column):
                sealed += count
                progress("values sealed with the new data keys", sealed)
    KeyRotation.objects.filter(pk=going.pk).update(finished_at=now())
    return sealed


def data_keys_drop(progress: Progress) -> int:
    """Let go of old data keys with which nothing is sealed any more, an hour after the next came. Returns how many."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_OUTLIVED, [now() - KEPT])
        outlived = set(cursor.fetchall())
        if outlived:
            for column in sealed_columns():
                cursor.execute(_sql(cursor, _VERSIONS_IN_USE, column))
                outlived -= set(cursor.fetchall())
        people, versions = [one[0] for one in outlived], [one[1] for one in outlived]
        cursor.execute(
            "DELETE FROM profiles_profilekey AS key USING unnest(%s::bigint[], %s::int[]) AS old(profile_id, version)"
            " WHERE key.profile_id = old.profile_id AND key.version = old.version",
            [people, versions],
        )
    if outlived:
        progress("old data keys let go of", len(outlived))
    return len(outlived)


def digests_rotate(progress: Progress) -> int:
    """Digest all identifiers with the newest lookup key, and all who hold their digests. Returns how many."""
    done = after = 0
    while rows := digests_old(after, BATCH):
        after = rows[-1][0]
        with transaction.atomic():
            done += identifiers_redigest([digest for _, digest in rows])
        progress("identifiers under the newest lookup key", done)
    return done


def attribute_digests_rotate(progress: Progress) -> int:
    """Digest all sensitive attributes with the newest lookup key. Returns how many.

    Lookups try the digests of all live versions meanwhile. A value that changes while it is digested is left.
    """
    done = after = 0
    while rows := attribute_digests_old(after, BATCH):
        after = rows[-1][0]
        with transaction.atomic():
            done += attributes_redigest(rows)
        progress("sensitive attributes under the newest lookup key", done)
    return done


@dataclass(frozen=True, slots=True)
class Left:
    """What still needs old keys. masters: data keys by master key; data_keys: old ones that are kept; digests: by who
    holds them, how many of each version; untouched: columns that this role may not change."""

    masters: Mapping[str, int]
    data_keys: int
    digests: Mapping[str, Mapping[int, int]]
    untouched: list[str]


def keys_left() -> Left:
    """What there is under which key."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT master, count(*) FROM profiles_profilekey WHERE wrapped <> '' GROUP BY master")
        masters = dict(cursor.fetchall())
        cursor.execute(_OUTLIVED.replace("newer.made_at < %s", "true"))
        old = len(cursor.fetchall())
    digests: dict[str, Mapping[int, int]] = {"identifiers": digests_by_version("profiles_identifier", "digest")}
    digests["sensitive attributes"] = digests_by_version("profiles_sealedattribute", "digest")
    digests |= {follower.name: follower.versions() for follower in digest_followers()}
    untouched = [f"{one.table}.{one.column}" for one in sealed_columns() if not _may_change(one)]
    return Left(masters, old, digests, untouched)


def digests_behind(versions: Mapping[int, int]) -> dict[int, int]:
    """Of digests by version, those that are not of the newest."""
    return {version: count for version, count in versions.items() if version != lookup_newest()}


_OLD_VALUES: Final = """
SELECT {key}, {profile}, {row} AS row_key, {column} FROM {table} AS value
WHERE {key} > %s AND length({column}) > 0 AND get_byte({column}, 0) <> (
  SELECT max(version) FROM profiles_profilekey AS held WHERE held.profile_id = value.{profile} AND held.wrapped <> '')
ORDER BY 1 LIMIT %s
"""
_SEAL_ANEW: Final = """
UPDATE {table} AS value SET {column} = new.sealed
FROM unnest(%s::text[]::{type}[], %s::bytea[], %s::bytea[]) AS new(key, was, sealed)
WHERE value.{key} = new.key AND value.{column} = new.was
"""
_VERSIONS_IN_USE: Final = """
SELECT DISTINCT {profile}, get_byte({column}, 0) FROM {table} WHERE length({column}) > 0 AND {profile} IN (
  SELECT profile_id FROM profiles_profilekey GROUP BY profile_id HAVING count(*) > 1)
"""
_KEY_TYPE: Final = """
SELECT format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = %s::regclass AND attname = %s
"""


def _sql(cursor: CursorWrapper, statement: str, column: SealedColumn, key_type: str = "") -> str:
    """A statement about a column; what its app declared of it are names and SQL of our own."""
    raw = cursor.cursor
    composed = sql.SQL(statement).format(
        table=sql.Identifier(column.table),
        column=sql.Identifier(column.column),
        key=sql.Identifier(column.key),
        profile=sql.Identifier(column.profile),
        row=sql.SQL(column.row),
        type=sql.SQL(key_type),
    )
    return str(composed.as_string(raw.connection))


def _column_reseal(column: SealedColumn) -> Iterator[int]:
    """Seal the values of a column anew, batch by batch by its primary key. A value that changes meanwhile is left."""
    after: Any = None
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_KEY_TYPE, [column.table, column.key])
            key_type = cursor.fetchone()[0]
            statement = _sql(cursor, _OLD_VALUES, column)
            if after is None:
                statement = statement.replace(f'"{column.key}" > %s AND', "%s IS NULL AND", 1)
            cursor.execute(statement, [after, BATCH])
            rows = cursor.fetchall()
            if not rows:
                return
            after = rows[-1][0]
            vault = vault_open(row[1] for row in rows)
            anew: list[tuple[str, bytes, bytes]] = []
            for key, profile_id, row, stored in rows:
                place, was = Place(column.table, column.column, row), bytes(stored)
                try:
                    anew.append((str(key), was, vault.seal(profile_id, place, vault.open(profile_id, place, was))))
                except (Erased, Tampered):
                    continue  # it does not open now, and would not later
            keys, before, sealed = ([one[part] for one in anew] for part in range(3))
            cursor.execute(_sql(cursor, _SEAL_ANEW, column, key_type), [keys, before, sealed])
        yield len(anew)


def _may_change(column: SealedColumn) -> bool:
    """Whether this database role may write the column: append-only tables are the owner's to change."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_column_privilege(%s, %s, 'UPDATE')", [column.table, column.column])
        return bool(cursor.fetchone()[0])
