"""Identifiers between a file and the people they belong to: sealed with a key of the import while they are staged.

The key is made when reading begins, kept wrapped with the import's progress, and forgotten with the merge. So no value
is in the database in the clear, not for a moment, and what deleted rows leave in its files can't be read.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import connection
from django.db.backends.utils import CursorWrapper

from apps.data.profiles.addresses import COLUMNS
from apps.data.profiles.lookup import digests_came_in, identifiers_redigest, place_of
from apps.data.profiles.vault import master_unwrap, master_wrap, vault_make
from apps.foundation.core.clock import now
from apps.foundation.core.crypto import binding, key_make, seal, unseal
from apps.foundation.core.postgres import copy_rows
from apps.foundation.core.signing import address_digests

BATCH: Final = 5_000
"""Identifiers at a time, so that memory stays flat however many a file brings."""

# What nobody is known by yet. An address becomes the main one at once where the person has none of its kind.
_NEW: Final = """
SELECT profile_id, 'external_id', external_id, external_digest, false FROM merge_people AS told
WHERE external_digest IS NOT NULL AND NOT EXISTS (
  SELECT FROM profiles_identifier AS known WHERE known.kind = 'external_id' AND known.digest = told.external_digest)
UNION ALL
SELECT told.profile_id, told.kind, told.value, told.digest, NOT EXISTS (
  SELECT FROM profiles_identifier AS known
  WHERE known.profile_id = told.profile_id AND known.kind = told.kind AND known.main)
FROM (SELECT profile_id, 'email' AS kind, value, digest FROM merge_email
      UNION ALL SELECT profile_id, 'phone', value, digest FROM merge_phone) AS told
WHERE NOT EXISTS (
  SELECT FROM profiles_identifier AS known
  WHERE known.profile_id = told.profile_id AND known.kind = told.kind AND known.digest = told.digest)
ORDER BY 1
"""
_TOLD: Final = " UNION ALL ".join(
    f"SELECT '{kind}', {column}_digest, {column} FROM merge_people WHERE {column}_digest IS NOT NULL"  # noqa: S608
    for kind, column in (("external_id", "external"), ("email", "email"), ("phone", "phone"))
).replace("external_digest, external FROM", "external_digest, external_id FROM")


class StagingKey:
    """The key of an import. text: as it is kept, wrapped by a master key."""

    def __init__(self, import_id: int, key: bytes, text: str) -> None:
        self._import_id = import_id
        self._cipher = AESGCM(key)
        self.text = text

    @classmethod
    def make(cls, import_id: int) -> "StagingKey":
        """A new one."""
        key = key_make()
        name, wrapped = master_wrap(key, "imports_import", "key", import_id)
        return cls(import_id, key, f"{name}:{wrapped.hex()}")

    @classmethod
    def load(cls, import_id: int, text: str) -> "StagingKey":
        """The one that was kept. Raises MasterKeyMissing, ValueError when there is none any more."""
        name, _, wrapped = text.partition(":")
        if not wrapped:
            raise ValueError("the key of this import was forgotten")
        return cls(import_id, master_unwrap(name, bytes.fromhex(wrapped), "imports_import", "key", import_id), text)

    def seal(self, digest: bytes, value: str) -> bytes:
        """A value, bound to its digest."""
        return seal(self._cipher, value.encode(), self._bound(digest))

    def open(self, digest: bytes, sealed: bytes) -> str:
        """What was sealed. Raises Tampered."""
        return unseal(self._cipher, sealed, self._bound(digest)).decode()

    def _bound(self, digest: bytes) -> bytes:
        return binding("imports_stagedperson", self._import_id, digest.hex())


def identifiers_write(cursor: CursorWrapper, *, key: StagingKey, source: str) -> None:
    """Add the identifiers of the merge that are new, each sealed with the key of its person, in the caller's
    transaction. Hot: some microseconds each.

    Raises django.db.IntegrityError where somebody else added one meanwhile, Tampered.
    """
    with connection.chunked_cursor() as found:
        found.execute(_NEW)
        while rows := found.fetchmany(BATCH):
            opened = [(*row[:2], key.open(bytes(row[3]), bytes(row[2])), *row[3:]) for row in rows]
            copy_rows(cursor, "profiles_identifier", COLUMNS, _sealed(opened, source))
            digests_came_in([row[:3] for row in opened])


def identifiers_renew(*, key: StagingKey) -> None:
    """Bring those identifiers over to the newest lookup key that this merge will look for, in the caller's transaction.

    So that its statements find them by one digest. Nothing to do while there is one live version.
    """
    if len(settings.LOOKUP_KEYS) == 1:
        return
    with connection.chunked_cursor() as told:
        told.execute(_TOLD)
        while rows := told.fetchmany(BATCH):
            older: list[bytes] = []
            for kind, stored, staged in rows:
                older += address_digests(kind, key.open(bytes(stored), bytes(staged)))[1:]
            identifiers_redigest(older)


def _sealed(rows: Sequence[tuple[Any, ...]], source: str) -> Iterator[Sequence[object]]:
    vault, at = vault_make(row[0] for row in rows), now()
    for profile_id, kind, value, stored, main in rows:
        digest = bytes(stored)
        sealed = vault.seal(profile_id, place_of(kind, digest), value.encode())
        yield profile_id, kind, sealed, digest, False, main, source, at
