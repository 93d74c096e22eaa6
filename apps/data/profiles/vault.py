"""What is known of a person, sealed with that person's own key.

Each person has a data key of 256 bits, wrapped by a master key that is not in the database (setting MASTER_KEYS). A
sealed value is a byte with the version of the data key, a nonce of 12 bytes, and ciphertext with its tag; table,
column, row, person and version are bound into it, so that it opens nowhere else. Keys live as long as a `Vault`, for
one batch: a key that was destroyed is gone from the next one. The hot path: one read of keys a batch, no ORM.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import connection, transaction

from apps.foundation.core.crypto import Tampered, binding, key_make, seal, unseal
from apps.foundation.core.postgres import Part, ids_text, planned_rows

from .errors import Erased, MasterKeyMissing

__all__ = [
    "KEY_COLUMNS", "Erased", "MasterKeyMissing", "Place", "SealedColumn", "Tampered", "Vault", "first_opened",
    "first_sealer", "first_wrapper", "key_destroy", "key_row", "keys_make", "master_unwrap", "master_wrap",
    "sealed_column", "sealed_columns", "vault_complete", "vault_make", "vault_of", "vault_open",
]  # fmt: skip

_KEYS: Final = """
SELECT profile_id, version, master, wrapped FROM profiles_profilekey WHERE profile_id = ANY(%(people)s::bigint[])
ORDER BY profile_id, version
"""
KEY: Final = Part(
    joins=(
        "LEFT JOIN LATERAL (SELECT held_key.version, held_key.master, held_key.wrapped"
        " FROM profiles_profilekey AS held_key WHERE held_key.profile_id = person.id AND length(held_key.wrapped) > 0"
        " ORDER BY held_key.version DESC LIMIT 1) AS vault ON TRUE",
    ),
    columns=("vault.version", "vault.master", "vault.wrapped"),
)
"""Their newest key, in a statement about people; nothing for who has none (`vault_of`)."""
HOLD: Final = "SELECT id FROM profiles_profile WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE"
"""SQL: what whoever makes people a key does first. Who destroys theirs is waited for, and waits (`key_destroy`)."""
_KEYS_ADD: Final = f"""
WITH person AS ({HOLD})
INSERT INTO profiles_profilekey (profile_id, version, master, wrapped, made_at)
SELECT new.id, %s, %s, new.wrapped, statement_timestamp()
FROM person JOIN unnest(%s::bigint[], %s::bytea[]) AS new(id, wrapped) USING (id)
ORDER BY new.id ON CONFLICT DO NOTHING RETURNING profile_id
"""  # noqa: S608  # texts of our own
_DESTROY: Final = """
UPDATE profiles_profilekey SET wrapped = '', destroyed_at = statement_timestamp()
WHERE profile_id = %s AND destroyed_at IS NULL
"""
_NEVER: Final = """
INSERT INTO profiles_profilekey (profile_id, version, master, wrapped, made_at, destroyed_at)
SELECT id, %s, '', '', statement_timestamp(), statement_timestamp() FROM profiles_profile AS person WHERE id = %s
  AND NOT EXISTS (SELECT FROM profiles_profilekey AS known WHERE known.profile_id = person.id)
ON CONFLICT DO NOTHING
"""
FIRST_VERSION: Final = 1
KEY_COLUMNS: Final = ("profile_id", "version", "master", "wrapped", "made_at")
"""What `key_row` gives, for COPY."""


class Place(NamedTuple):
    """Where a sealed value is: table, column, and the row by a key of its own that never changes."""

    table: str
    column: str
    row: str


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column that holds sealed values, for whoever must find and seal them anew (`manage.py keys_rotate`).

    key: the table's primary key; profile: the column with the person's id; row: SQL of what `Place.row` is, as text.
    """

    table: str
    column: str
    key: str = "id"
    profile: str = "profile_id"
    row: str = "id::text"


_columns: dict[tuple[str, str], SealedColumn] = {}


def sealed_column(
    table: str, column: str, *, key: str = "id", profile: str = "profile_id", row: str = "id::text"
) -> None:
    """Declare a column that holds sealed values, in an app's `ready()`. Nothing is sealed for one not declared."""
    _columns[table, column] = SealedColumn(table, column, key, profile, row)


def sealed_columns() -> list[SealedColumn]:
    """All that were declared."""
    return [_columns[name] for name in sorted(_columns)]


@lru_cache(maxsize=32)
def _master(name: str, key: bytes) -> AESGCM:
    return AESGCM(key)


def master_wrap(key: bytes, *place: str | int) -> tuple[str, bytes]:
    """A key under the newest master key: the master key's id, and what may be stored at this place."""
    name, master = next(iter(settings.MASTER_KEYS.items()))
    return name, seal(_master(name, master), key, binding(*place, name))


def master_unwrap(name: str, wrapped: bytes, *place: str | int) -> bytes:
    """A key that was wrapped for this place by the master key of this id. Raises MasterKeyMissing."""
    return _master_opened(name, wrapped, binding(*place, name))


def _master_opened(name: str, wrapped: bytes, bound: bytes) -> bytes:
    master = settings.MASTER_KEYS.get(name)
    if master is None:
        raise MasterKeyMissing(
            "master_key_missing",
            f"Sealed values can't be read: the master key {name} is not in MASTER_KEYS. Put it back.",
        )
    try:
        return unseal(_master(name, master), wrapped, bound)
    except Tampered:
        raise MasterKeyMissing(
            "master_key_wrong",
            f"Sealed values can't be read: MASTER_KEYS has another key under the id {name} than the one used when"
            " they were sealed, or the stored key was changed.",
        ) from None


def key_wrap(profile_id: int, version: int, key: bytes) -> tuple[str, bytes]:
    """A person's data key under the newest master key: the master key's id, and what is stored."""
    return master_wrap(key, "profiles_profilekey", "wrapped", profile_id, version)


def key_unwrap(profile_id: int, version: int, name: str, wrapped: bytes) -> bytes:
    """A person's data key. Raises MasterKeyMissing."""
    bound = f"profiles_profilekey\0wrapped\0{profile_id}\0{version}\0{name}".encode()  # as `crypto.binding` has it
    return _master_opened(name, wrapped, bound)


@dataclass(slots=True)
class Vault:
    """The keys of some people, for one batch. A key is unwrapped when it is first needed."""

    _wrapped: dict[tuple[int, int], tuple[str, bytes]]
    _newest: dict[int, int]
    _ciphers: dict[tuple[int, int], AESGCM] = field(default_factory=dict)

    def take_in(self, profile_id: int, version: int, wrapped: tuple[str, bytes], cipher: AESGCM) -> None:
        """Add a key that was just made."""
        self._wrapped[profile_id, version] = wrapped
        self._newest[profile_id] = version
        self._ciphers[profile_id, version] = cipher

    def join(self, other: "Vault") -> None:
        """Take in the keys of another."""
        self._wrapped |= other._wrapped
        self._newest |= other._newest
        self._ciphers |= other._ciphers

    def stored_key(self, profile_id: int, sealed: bytes) -> tuple[object, bytes] | None:
        """By what a sealed value opens: the master key's cipher, and the person's key as it is stored; None where one
        of them is missing. While both are the same, the value opens as it did."""
        found = self._wrapped.get((profile_id, sealed[0])) if sealed else None
        master = None if found is None else settings.MASTER_KEYS.get(found[0])
        return None if found is None or master is None else (_master(found[0], master), found[1])

    def __contains__(self, profile_id: int) -> bool:
        """Whether the person has a key."""
        return profile_id in self._newest

    def seal(self, profile_id: int, place: Place, plain: bytes) -> bytes:
        """Seal a value for its place, with the person's newest key. Raises Erased and MasterKeyMissing."""
        if place[:2] not in _columns:
            raise LookupError(f"declare {place.table}.{place.column} by vault.sealed_column in the app's ready()")
        version = self._newest.get(profile_id, 0)
        return _sealed(self._cipher(profile_id, version), profile_id, place, version, plain)

    def open(self, profile_id: int, place: Place, sealed: bytes) -> bytes:
        """What was sealed for this place.

        Raises Erased when the person's key is gone, Tampered when the value was changed or belongs elsewhere, and
        MasterKeyMissing.
        """
        if not sealed:
            raise Tampered("a sealed value is empty")
        version = sealed[0]
        cipher = self._cipher(profile_id, version)
        return unseal(cipher, sealed[1:], _bound(profile_id, place, version))

    def _cipher(self, profile_id: int, version: int) -> AESGCM:
        cipher = self._ciphers.get((profile_id, version))
        if cipher is None:
            if (profile_id, version) not in self._wrapped and profile_id in self._newest:
                self._wrapped |= vault_open([profile_id])._wrapped  # it may have got a newer key meanwhile
            found = self._wrapped.get((profile_id, version))
            if found is None:
                if profile_id in self._newest:
                    raise Tampered("a sealed value names a version of the key that the person does not have")
                raise Erased(f"profile {profile_id} has no key")
            cipher = AESGCM(key_unwrap(profile_id, version, *found))
            self._ciphers[profile_id, version] = cipher
        return cipher


def _bound(profile_id: int, place: Place, version: int) -> bytes:
    table, column, row = place
    return f"{table}\0{column}\0{profile_id}\0{version}\0{row}".encode()  # as `crypto.binding` has it


def _sealed(cipher: AESGCM, profile_id: int, place: Place, version: int, plain: bytes) -> bytes:
    return bytes((version,)) + seal(cipher, plain, _bound(profile_id, place, version))


def first_sealer(table: str, column: str, nonces: Iterator[bytes]) -> Callable[[AESGCM, int, str, bytes], bytes]:
    """What seals values of a column, each with the first key of somebody who is yet to be written down (`key_row`):
    cipher, profile, `Place.row` and value to what `Vault.open` opens. Hot. nonces: of `nonces_draw`, one for each."""
    before, between, version = f"{table}\0{column}\0", f"\0{FIRST_VERSION}\0", bytes((FIRST_VERSION,))

    def sealed(cipher: AESGCM, profile_id: int, row: str, plain: bytes) -> bytes:
        nonce = next(nonces)
        return version + nonce + cipher.encrypt(nonce, plain, f"{before}{profile_id}{between}{row}".encode())

    return sealed


def first_wrapper(nonces: Iterator[bytes]) -> tuple[str, Callable[[int, bytes], bytes]]:
    """The same for these keys themselves: the master key's id, and what gives `key_wrap` of profile and key. Hot."""
    name, key = next(iter(settings.MASTER_KEYS.items()))
    master, end = _master(name, key), f"\0{FIRST_VERSION}\0{name}"

    def wrapped(profile_id: int, key: bytes) -> bytes:
        nonce = next(nonces)
        return nonce + master.encrypt(nonce, key, f"profiles_profilekey\0wrapped\0{profile_id}{end}".encode())

    return name, wrapped


def first_opened(cipher: AESGCM, profile_id: int, place: Place, sealed: bytes) -> bytes:
    """What was sealed by `first_sealer`. Raises Tampered."""
    return unseal(cipher, sealed[1:], _bound(profile_id, place, FIRST_VERSION))


def key_row(profile_id: int, key: bytes, at: str) -> tuple[int, int, str, bytes, str]:
    """A first key as a row of `profiles_profilekey` (`KEY_COLUMNS`), for whom the caller's transaction made.

    at: the moment, in ISO 8601.
    """
    name, wrapped = key_wrap(profile_id, FIRST_VERSION, key)
    return (profile_id, FIRST_VERSION, name, wrapped, at)


def vault_open(profile_ids: Iterable[int]) -> Vault:
    """The keys of these people, read in one statement. Who has none (erased) is simply not in it."""
    rows = planned_rows(_KEYS, {"people": ids_text(set(profile_ids))})
    wrapped = {
        (profile_id, version): (master, bytes(stored)) for profile_id, version, master, stored in rows if len(stored)
    }
    return Vault(wrapped, dict(wrapped.keys()))


def vault_of(keys: Iterable[tuple[int, Sequence[Any]]]) -> Vault:
    """The same, of what `KEY` read of each person. An older key is read when it is needed."""
    wrapped = {
        (profile_id, version): (master, bytes(stored)) for profile_id, (version, master, stored) in keys if version
    }
    return Vault(wrapped, dict(wrapped.keys()))


def vault_complete(vault: Vault, profile_ids: Sequence[int]) -> Vault:
    """A vault with the keys of all these people, after making one for each who never had one. Who was erased stays
    without."""
    return vault if all(one in vault for one in profile_ids) else vault_make(profile_ids)


def keys_make(profile_ids: Iterable[int]) -> None:
    """Give a data key to each of these people who never had one. Who was erased stays without."""
    vault_make(profile_ids)


def vault_make(profile_ids: Iterable[int]) -> Vault:
    """The keys of these people, after making one for each who never had one. Who was erased stays without.

    Locks people in the order of their ids, so two callers never wait for each other in a ring.
    """
    ids = sorted(set(profile_ids))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT profile_id FROM profiles_profilekey WHERE profile_id = ANY(%s)", [ids])
        known = {row[0] for row in cursor.fetchall()}
        keys = {profile_id: key_make() for profile_id in ids if profile_id not in known}
        made: dict[int, tuple[str, bytes]] = {}
        if keys:
            wrapped = {profile_id: key_wrap(profile_id, FIRST_VERSION, key) for profile_id, key in keys.items()}
            name = next(iter(settings.MASTER_KEYS))
            stored_keys = [stored for _, stored in wrapped.values()]
            cursor.execute(_KEYS_ADD, [list(keys), FIRST_VERSION, name, list(keys), stored_keys])
            made = {row[0]: wrapped[row[0]] for row in cursor.fetchall()}
        vault = vault_open(profile_id for profile_id in ids if profile_id not in made)
    for profile_id, stored in made.items():
        vault.take_in(profile_id, FIRST_VERSION, stored, AESGCM(keys[profile_id]))
    return vault


def key_destroy(profile_id: int) -> bool:
    """Destroy a person's data keys, in the caller's transaction: what they sealed is unreadable for good.

    An empty row stays, so that nobody makes the person a new key. False when there was none to destroy. Whoever makes
    them a key at this moment holds their profile (`HOLD`): waited for, so that their key is seen.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM profiles_profile WHERE id = %s FOR UPDATE", [profile_id])
        cursor.execute(_DESTROY, [profile_id])
        destroyed = bool(cursor.rowcount)
        cursor.execute(_NEVER, [FIRST_VERSION, profile_id])
        return destroyed
