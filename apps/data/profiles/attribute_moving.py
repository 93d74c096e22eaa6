"""Sealing the values of an attribute that became sensitive, and opening those of one that is to be clear again.

Batch by batch, each a transaction; what is left is read from the rows, so it can be stopped or killed anywhere and
begun again. The attribute is sensitive all the while: new values are sealed, readers see a value in one place or the
other, and rules ask both.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from django.db import connection, transaction

from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict
from apps.foundation.governance.services import audit_record

from .attribute_values import is_known, value_read
from .attributes import WRITING, shape_of, value_open, value_seal
from .contracts import AttributeShape, HeldSealed
from .models import AttributeDefinition
from .registry import sensitive_traces
from .vault import Erased, vault_make, vault_open

logger = logging.getLogger(__name__)

Moving = AttributeDefinition.Moving
BATCH: Final = 500
GRACE: Final = timedelta(seconds=2)
"""Who read just before that an attribute is not sensitive has read its values by then."""
Progress = Callable[[str, int], None]

_CLEAR: Final = """
SELECT id, (attributes -> %s::text)::text FROM profiles_profile
WHERE id > %s AND jsonb_typeof(attributes) = 'object' AND jsonb_exists(attributes, %s) ORDER BY id LIMIT %s
FOR NO KEY UPDATE
"""
# a value that came in sealed meanwhile is the newer one
_SEAL: Final = """
INSERT INTO profiles_sealedattribute (profile_id, definition_id, sealed, digest, changed_at)
SELECT new.profile_id, %s, new.sealed, new.digest, statement_timestamp()
FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[]) AS new(profile_id, sealed, digest)
ORDER BY 1 ON CONFLICT (profile_id, definition_id) DO NOTHING
"""
_CLEAR_DROP: Final = "UPDATE profiles_profile SET attributes = attributes - %s::text WHERE id = ANY(%s)"
_SEALED: Final = """
SELECT held.profile_id, held.digest, held.sealed
FROM profiles_sealedattribute AS held JOIN profiles_profile AS person ON person.id = held.profile_id
WHERE held.definition_id = %s AND held.profile_id > %s ORDER BY held.profile_id LIMIT %s
FOR NO KEY UPDATE OF person
"""
_OPEN: Final = """
UPDATE profiles_profile AS p SET attributes = p.attributes || new.put
FROM unnest(%s::bigint[], %s::jsonb[]) AS new(id, put) WHERE p.id = new.id
"""
_ANY_CLEAR: Final = """
SELECT FROM profiles_profile WHERE jsonb_typeof(attributes) = 'object' AND jsonb_exists(attributes, %s) LIMIT 1
"""
_ANY_SEALED: Final = "SELECT FROM profiles_sealedattribute WHERE definition_id = %s LIMIT 1"
_WRITERS: Final = """
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = 'advisory' AND objid = %s AND objsubid = 1 AND mode = 'ShareLock' AND pid <> pg_backend_pid()
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_SEALED_DROP: Final = "DELETE FROM profiles_sealedattribute WHERE definition_id = %s AND profile_id = ANY(%s)"


def values_move(*, definition_id: int, progress: Progress | None = None) -> int:
    """Seal or open the values of an attribute that are still where they were. Returns how many were moved.

    0 at once where another process is at it. progress: called after each batch with the attribute's name and how many
    so far; it may raise to stop. Raises MasterKeyMissing.
    """
    with _only_one(definition_id) as alone:
        return _move(definition_id, progress) if alone else 0


@contextmanager
def _only_one(definition_id: int) -> Iterator[bool]:
    """Whether nobody else moves the values. The lock belongs to the session, so that it goes with one that dies."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext('tessera attribute'), %s)", [definition_id])
        alone = bool(cursor.fetchone()[0])
    try:
        yield alone
    finally:
        if alone and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtext('tessera attribute'), %s)", [definition_id])


def _move(definition_id: int, progress: Progress | None) -> int:
    row = AttributeDefinition.objects.filter(pk=definition_id).exclude(moving=Moving.NOT).first()
    if row is None:
        return 0
    if row.moving_since is not None:
        time.sleep(max(0.0, (row.moving_since + GRACE - now()).total_seconds()))
    move = _seal_batch if row.moving == Moving.SEALING else _open_batch
    total = after = 0
    while True:
        with transaction.atomic():
            last, count = move(shape_of(row), after)
        if last is None:
            try:
                if _finished(row):
                    return total
            except Conflict as error:  # the sweeper comes again
                logger.warning("attribute %s: values are on their way still: %s", row.pk, error.code)
                return total
            after = 0  # some came in behind
            continue
        total, after = total + count, last
        _moved_note(row, total)
        if progress is not None:
            progress(row.name, total)


def _moved_note(row: AttributeDefinition, total: int) -> None:
    """Put down how far it is, for the page: unless somebody who writes values holds the row, for that may take long."""
    with transaction.atomic():
        free = AttributeDefinition.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=row.pk).first()
        if free is not None:
            free.moved = row.moved + total
            free.save(update_fields=["moved"])


def _seal_batch(shape: AttributeShape, after: int) -> tuple[int | None, int]:
    """Seal the next values; the last profile looked at and how many were sealed, or None where there is no next."""
    with connection.cursor() as cursor:
        cursor.execute(_CLEAR, [shape.name, after, shape.name, BATCH])
        rows = cursor.fetchall()
        if not rows:
            return None, 0
        ids = [row[0] for row in rows]
        vault, sealed = vault_make(ids), []
        for profile_id, text in rows:
            value = _as_defined(shape, json.loads(text))
            if is_known(value):
                try:
                    sealed.append((profile_id, *value_seal(vault, profile_id, shape, value)))
                except Erased:
                    continue  # nothing may be known of them any more
        cursor.execute(_SEAL, [shape.id, *([row[number] for row in sealed] for number in range(3))])
        cursor.execute(_CLEAR_DROP, [shape.name, ids])
    return ids[-1], len(sealed)


def _as_defined(shape: AttributeShape, value: object) -> object:
    """A value as its kind has it; one that does not fit is kept as it is."""
    try:
        return value_read(shape, value)
    except ValueError:
        return value


def _open_batch(shape: AttributeShape, after: int) -> tuple[int | None, int]:
    with connection.cursor() as cursor:
        cursor.execute(_SEALED, [shape.id, after, BATCH])
        rows = cursor.fetchall()
        if not rows:
            return None, 0
        ids = [row[0] for row in rows]
        vault, opened = vault_open(ids), []
        for profile_id, digest, sealed in rows:
            value = value_open(vault, profile_id, HeldSealed(shape.id, bytes(digest), bytes(sealed)))
            if value is not None:
                opened.append((profile_id, json.dumps({shape.name: value}, ensure_ascii=False)))
        cursor.execute(_OPEN, [[row[number] for row in opened] for number in range(2)])
        cursor.execute(_SEALED_DROP, [shape.id, ids])
    return ids[-1], len(opened)


def _finished(row: AttributeDefinition) -> bool:
    """Whether nothing is left to move, and that is put down.

    Who had read that the name is not sensitive, or not even defined, may still write in clear: they are waited for.
    """
    shape = shape_of(row)
    if row.moving == Moving.SEALING:
        _writers_wait()
        for trace in sensitive_traces:
            trace(shape)
    with transaction.atomic():
        now_is = AttributeDefinition.objects.select_for_update().get(pk=row.pk)
        if now_is.moving != row.moving:
            return True  # another worker was first
        # without a lock on people: who holds theirs may be waiting for the definition
        with connection.cursor() as cursor:
            if row.moving == Moving.SEALING:
                cursor.execute(_ANY_CLEAR, [shape.name])
            else:
                cursor.execute(_ANY_SEALED, [shape.id])
            if cursor.fetchone() is not None:
                return False
        now_is.sensitive = row.moving == Moving.SEALING
        now_is.moving, now_is.moving_since = Moving.NOT, None
        now_is.save(update_fields=["sensitive", "moving", "moving_since"])
        what = "sealed" if now_is.sensitive else "cleared"
        audit_record(action=f"profiles.attribute.{what}", actor=None, subject=now_is)
    return True


def _writers_wait() -> None:
    """Wait for those who are writing attributes now; who begins later reads what is defined by then."""
    with connection.cursor() as cursor:
        cursor.execute(_WRITERS, [WRITING])
        before = {name for (name,) in cursor.fetchall()}
        while before:
            time.sleep(0.1)
            cursor.execute(_WRITERS, [WRITING])
            before &= {name for (name,) in cursor.fetchall()}


def values_left() -> dict[int, str]:
    """Definitions whose values are on their way: id and name."""
    return dict(AttributeDefinition.objects.exclude(moving=Moving.NOT).values_list("pk", "name"))
