"""Identifiers and sensitive attributes between a file and the people they belong to: sealed from the line on.

An import has a key, made when reading begins, kept wrapped with the import's progress, and forgotten with the merge.
Sensitive attributes are sealed with it while they are staged. For identifiers each line's person has a key that is
derived from it, and the number of a profile that was drawn for them: whoever turns out to be new becomes the profile of
that number, with that key, and the identifiers stay sealed as they are. Those of people who are there already, or in
several lines, are opened in the merge and sealed with the person's own key. So no value is in the database in the
clear, not for a moment, and what deleted rows leave in its files can't be read.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as MappingABC
from datetime import datetime
from functools import partial
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import connection
from django.db.backends.utils import CursorWrapper

from apps.data.profiles.addresses import COLUMNS
from apps.data.profiles.attributes import attributes_write, sealed_write
from apps.data.profiles.contracts import AttributeShape
from apps.data.profiles.lookup import digests_came_in, identifiers_redigest, place_of
from apps.data.profiles.vault import (
    KEY_COLUMNS,
    Vault,
    first_opened,
    first_sealer,
    first_wrapper,
    key_row,
    master_unwrap,
    master_wrap,
    vault_make,
)
from apps.foundation.core.clock import now
from apps.foundation.core.crypto import binding, digest_keyed, digester_keyed, key_make, nonces_draw, seal, unseal
from apps.foundation.core.postgres import copy_batches
from apps.foundation.core.signing import address_digests

from .people import MAIN, SENSITIVE, Said

BATCH: Final = 5_000
"""Identifiers at a time, so that memory stays flat however many a file brings."""

# What nobody is known by yet, and is not sealed for them. An address becomes the main one at once where the person has
# none of its kind.
_NEW: Final = """
SELECT profile_id, 'external_id', external_id, external_digest, false, external_drawn FROM merge_people AS told
WHERE external_digest IS NOT NULL AND (external_drawn <> profile_id OR %(all)s) AND NOT EXISTS (
  SELECT FROM profiles_identifier AS known WHERE known.kind = 'external_id' AND known.digest = told.external_digest)
UNION ALL
SELECT told.profile_id, told.kind, told.value, told.digest, NOT EXISTS (
  SELECT FROM profiles_identifier AS known
  WHERE known.profile_id = told.profile_id AND known.kind = told.kind AND known.main), told.drawn
FROM (SELECT profile_id, 'email' AS kind, value, digest, drawn FROM merge_email
      UNION ALL SELECT profile_id, 'phone', value, digest, drawn FROM merge_phone) AS told
WHERE (told.drawn <> told.profile_id OR %(all)s) AND NOT EXISTS (
  SELECT FROM profiles_identifier AS known
  WHERE known.profile_id = told.profile_id AND known.kind = told.kind AND known.digest = told.digest)
ORDER BY 1
"""
# What is sealed for whom it belongs to: only who is new has a number that was drawn, so nothing of them is there yet.
# They lie in the order of their numbers, about, as they were read.
_SEALED: Final = (
    """
    INSERT INTO profiles_identifier (profile_id, kind, sealed, digest, verified, main, source, created_at)
    SELECT profile_id, 'external_id', external_id, external_digest, false, false, %(source)s, statement_timestamp()
    FROM merge_people WHERE external_digest IS NOT NULL AND external_drawn = profile_id
    """,
    *(
        f"""
        INSERT INTO profiles_identifier (profile_id, kind, sealed, digest, verified, main, source, created_at)
        SELECT profile_id, '{kind}', value, digest, false, true, %(source)s, statement_timestamp()
        FROM merge_{kind} WHERE drawn = profile_id
        """  # noqa: S608  # names of our own
        for kind in ("email", "phone")
    ),
)
_MADE: Final = "SELECT profile_id FROM merge_people WHERE is_new"
_TOLD: Final = " UNION ALL ".join(
    f"SELECT '{kind}', {column}_digest, {value}, {column}_drawn FROM merge_people"  # noqa: S608
    f" WHERE {column}_digest IS NOT NULL"
    for kind, column, value in (
        ("external_id", "external", "external_id"), ("email", "email", "email"), ("phone", "phone", "phone")
    )
)  # fmt: skip


# What lines say of sensitive attributes, the latest last; in clear what was staged before one became sensitive.
_SENSITIVE: Final = """
SELECT people.profile_id, staged.key, staged.sensitive, (
  SELECT jsonb_object_agg(pair.key, pair.value)::text FROM jsonb_each(staged.attributes) AS pair
  WHERE pair.key = ANY(%(names)s))
FROM imports_stagedperson AS staged JOIN merge_people AS people USING (key)
JOIN profiles_profile AS profile ON profile.id = people.profile_id
WHERE staged.import_id = %(import)s AND profile.restricted_at IS NULL
  AND (staged.sensitive IS NOT NULL OR jsonb_exists_any(staged.attributes, %(names)s))
ORDER BY people.profile_id, staged.seen_at NULLS FIRST, staged.line
"""
# Who was made or changed by the merge itself is of this moment already.
_CHANGED: Final = """
UPDATE profiles_profile SET updated_at = statement_timestamp()
WHERE id = ANY(%s) AND (xmin <> pg_current_xact_id()::xid OR updated_at < transaction_timestamp())
"""


class StagingKey:
    """The key of an import. text: as it is kept, wrapped by a master key."""

    def __init__(self, import_id: int, key: bytes, text: str) -> None:
        self._import_id = import_id
        self._cipher = AESGCM(key)
        self._person_key = digester_keyed(digest_keyed(key, b"keys of people"))
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

    def person_key(self, drawn: int) -> bytes:
        """The data key of whom a number of a profile was drawn for (NIST SP 800-108, in its shortest form)."""
        return self._person_key(drawn.to_bytes(8, "big"))

    def people_sealer(self, most: int) -> "PeopleSealer":
        """What seals the people of one chunk, of so many records, as they stay if they are new."""
        return PeopleSealer(self.person_key, most)

    def identifier_open(self, drawn: int, kind: str, digest: bytes, sealed: bytes) -> bytes:
        """What a `PeopleSealer` sealed. Raises Tampered."""
        return first_opened(AESGCM(self.person_key(drawn)), drawn, place_of(kind, digest), sealed)


class PeopleSealer:
    """Seals the people of one chunk, each for the number of a profile that was drawn for them. Hot.

    For the process alone that made it: its nonces are drawn ahead. master: the id of the key that wraps theirs.
    """

    def __init__(self, key_of: Callable[[int], bytes], most: int) -> None:
        nonces = nonces_draw(most * (len(MAIN) + 1))
        self._key_of = key_of
        self._seal = first_sealer("profiles_identifier", "sealed", nonces)
        self.master, self.wrapped = first_wrapper(nonces)

    def sealed(self, drawn: int, said: Sequence[Said]) -> tuple[bytes, list[bytes]]:
        """Their data key, and their identifiers as they may be stored."""
        key, seal = self._key_of(drawn), self._seal
        cipher = AESGCM(key)
        return key, [seal(cipher, drawn, f"{kind}:{digest}", value.encode()) for kind, digest, value in said]


def identifiers_write(cursor: CursorWrapper, *, key: StagingKey, source: str) -> None:
    """Add the keys of people whom the merge made, and the identifiers that are new, in the caller's transaction.
    Hot: some microseconds each.

    Raises django.db.IntegrityError where somebody else added one meanwhile, Tampered.
    """
    with connection.chunked_cursor() as made:
        made.execute(_MADE)
        copy_batches(cursor, "profiles_profilekey", KEY_COLUMNS, _keys(made, key))
    anew = len(settings.LOOKUP_KEYS) > 1  # then others must hear of each value
    with connection.chunked_cursor() as found:
        found.execute(_NEW, {"all": anew})
        copy_batches(cursor, "profiles_identifier", COLUMNS, _batches(found, key, source))
    if not anew:
        for statement in _SEALED:
            cursor.execute(statement, {"source": source})


def _keys(made: CursorWrapper, key: StagingKey) -> Iterator[Callable[[], list[Sequence[object]]]]:
    at = now().isoformat()
    while rows := made.fetchmany(BATCH):
        yield partial(_keys_of, rows, key, at)


def _keys_of(rows: Sequence[tuple[int]], key: StagingKey, at: str) -> list[Sequence[object]]:
    return [key_row(profile_id, key.person_key(profile_id), at) for (profile_id,) in rows]


def _batches(found: CursorWrapper, key: StagingKey, source: str) -> Iterator[Callable[[], list[Sequence[object]]]]:
    while rows := found.fetchmany(BATCH):
        vault, at = vault_make(row[0] for row in rows), now()
        if len(settings.LOOKUP_KEYS) > 1:
            digests_came_in([(*row[:2], _opened(key, row).decode()) for row in rows])
        yield partial(_sealed, rows, vault, key, source, at)


def sensitive_write(
    cursor: CursorWrapper, *, import_id: int, key: StagingKey, shapes: MappingABC[str, AttributeShape]
) -> None:
    """Store the sensitive attributes of the merge, each sealed with the key of its person, in the caller's transaction.

    What equals what is stored stays as it is. One that is sensitive no more since it was staged is stored in clear.
    Raises Tampered.
    """
    terms: dict[str, Any] = {"import": import_id, "names": [name for name, shape in shapes.items() if shape.sensitive]}
    with connection.chunked_cursor() as staged:
        staged.execute(_SENSITIVE, terms)
        told: dict[int, dict[str, Any]] = {}
        while rows := staged.fetchmany(BATCH):
            for profile_id, stored, sensitive, clear in rows:
                if profile_id not in told and len(told) >= BATCH:  # a person's lines stand together
                    _sensitive_store(cursor, told, shapes)
                    told = {}
                said = told.setdefault(profile_id, {})
                if clear is not None:
                    said |= json.loads(clear)
                if sensitive is not None:
                    said |= json.loads(key.open(SENSITIVE + bytes(stored), bytes(sensitive)))
        _sensitive_store(cursor, told, shapes)


def _sensitive_store(
    cursor: CursorWrapper, told: MappingABC[int, dict[str, Any]], shapes: MappingABC[str, AttributeShape]
) -> None:
    sealing = [
        (profile_id, shapes[name], value)
        for profile_id, said in told.items()
        for name, value in said.items()
        if name in shapes and shapes[name].sensitive
    ]
    changed = sealed_write(sealing, equal_too=False)
    cursor.execute(_CHANGED, [sorted(changed)])
    clear = {
        profile_id: rest
        for profile_id, said in told.items()
        if (rest := {name: value for name, value in said.items() if name not in shapes or not shapes[name].sensitive})
    }
    attributes_write(clear, shapes)


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
            for kind, stored, staged, drawn in rows:
                value = key.identifier_open(drawn, kind, bytes(stored), bytes(staged)).decode()
                older += address_digests(kind, value)[1:]
            identifiers_redigest(older)


def _opened(key: StagingKey, row: tuple[Any, ...]) -> bytes:
    _, kind, staged, stored, _, drawn = row
    return key.identifier_open(drawn, kind, bytes(stored), bytes(staged))


def _sealed(
    rows: Sequence[tuple[Any, ...]], vault: Vault, key: StagingKey, source: str, at: datetime
) -> list[Sequence[object]]:
    """Rows of identifiers. Uses no connection: the one of the transaction is busy meanwhile."""
    made: list[Sequence[object]] = []
    for row in rows:
        profile_id, kind, _, stored, main, _ = row
        digest = bytes(stored)
        sealed = vault.seal(profile_id, place_of(kind, digest), _opened(key, row))
        made.append((profile_id, kind, sealed, digest, False, main, source, at))
    return made
