"""Seals the values of identifiers that there are, each with its person's key. Stopped, it goes on where it was."""

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.apps.registry import Apps
from django.conf import settings
from django.db import migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.utils import CursorWrapper

from apps.foundation.core.crypto import binding, key_make, seal, unseal

BATCH = 2_000
_NEXT = """
SELECT id, profile_id, kind, value, digest FROM profiles_identifier
WHERE sealed IS NULL AND profile_id > %s ORDER BY profile_id LIMIT %s
"""
_KEYS = "SELECT profile_id, version, master, wrapped FROM profiles_profilekey WHERE profile_id = ANY(%s)"
_KEYS_ADD = """
INSERT INTO profiles_profilekey (profile_id, version, master, wrapped, made_at)
SELECT new.id, 1, %s, new.wrapped, statement_timestamp() FROM unnest(%s::bigint[], %s::bytea[]) AS new(id, wrapped)
"""
_SEALED = """
UPDATE profiles_identifier AS identifier SET sealed = new.sealed
FROM unnest(%s::bigint[], %s::bytea[]) AS new(id, sealed) WHERE identifier.id = new.id
"""


def identifiers_seal(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """In batches, each in a transaction of its own: a million rows take neither one lock nor much memory."""
    after = 0
    while True:
        with transaction.atomic(using=schema_editor.connection.alias), schema_editor.connection.cursor() as cursor:
            cursor.execute(_NEXT, [after, BATCH])
            rows = cursor.fetchall()
            if not rows:
                if not after:
                    return
                after = 0  # a batch may have ended among the identifiers of one person
                continue
            keys = _keys(cursor, sorted({row[1] for row in rows}))
            sealed = []
            for _, profile_id, kind, value, digest in rows:
                version, cipher = keys[profile_id]
                row = f"{kind}:{bytes(digest).hex()}"
                bound = binding("profiles_identifier", "sealed", profile_id, version, row)
                sealed.append(bytes((version,)) + seal(cipher, value.encode(), bound))
            cursor.execute(_SEALED, [[row[0] for row in rows], sealed])
            after = rows[-1][1]


def _keys(cursor: CursorWrapper, profile_ids: list[int]) -> dict[int, tuple[int, AESGCM]]:
    """The newest key of each person, made where there is none, with its version."""
    cursor.execute(_KEYS + " AND wrapped <> '' ORDER BY version", [profile_ids])
    keys = {}
    for profile_id, version, master, wrapped in cursor.fetchall():
        bound = binding("profiles_profilekey", "wrapped", profile_id, version, master)
        keys[profile_id] = version, AESGCM(unseal(AESGCM(settings.MASTER_KEYS[master]), bytes(wrapped), bound))
    new = [profile_id for profile_id in profile_ids if profile_id not in keys]
    master, secret = next(iter(settings.MASTER_KEYS.items()))
    wrapping, stored = AESGCM(secret), []
    for profile_id in new:
        key = key_make()
        stored.append(seal(wrapping, key, binding("profiles_profilekey", "wrapped", profile_id, 1, master)))
        keys[profile_id] = 1, AESGCM(key)
    cursor.execute(_KEYS_ADD, [master, new, stored])
    return keys


class Migration(migrations.Migration):
    """Data only. Needs MASTER_KEYS, as everything does from now on."""

    atomic = False
    dependencies = [("profiles", "0005_identifier_sealed_values")]

    operations = [migrations.RunPython(identifiers_seal, migrations.RunPython.noop, elidable=True)]
