"""By what people are known: the one place that reads and writes the values of identifiers.

A value is sealed with its person's key and found by its digest. What does not open (the person was erased, or the
value was tampered with) is left out, and logged; a missing master key raises MasterKeyMissing.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, NamedTuple

from django.db import connection, transaction

from apps.foundation.core.clock import now
from apps.foundation.core.masking import MASK
from apps.foundation.core.postgres import copy_rows, ids_text
from apps.foundation.core.signing import address_digest, address_digests

from .lookup import digests_came_in, identifiers_redigest, place_of
from .models import REACHED_BY, Identifier, Profile
from .vault import Erased, Tampered, Vault, vault_make, vault_open

logger = logging.getLogger(__name__)

BATCH: Final = 5_000
"""Identifiers sealed at a time, so that memory stays flat."""
COLUMNS: Final = ("profile_id", "kind", "sealed", "digest", "verified", "main", "source", "created_at")


@dataclass(frozen=True, slots=True)
class Known:
    """One way in which a person is known. value: normalized."""

    id: int
    kind: str
    value: str
    main: bool
    verified: bool
    source: str
    since: datetime


class Opened(NamedTuple):
    """An identifier's value, and all that it was opened from: as long as these are the same, it is. key: of
    `Vault.stored_key`."""

    value: str
    digest: bytes
    sealed: bytes
    key: tuple[object, bytes] | None


class NewIdentifier(NamedTuple):
    """An identifier to be added. value: normalized."""

    profile_id: int
    kind: str
    value: str
    main: bool = False
    verified: bool = False
    source: str = ""
    created_at: datetime | None = None


def value_open(vault: Vault, profile_id: int, kind: str, digest: bytes, sealed: bytes) -> str | None:
    """The value of an identifier, normalized; None where it does not open. Raises MasterKeyMissing."""
    try:
        return vault.open(profile_id, place_of(kind, digest), sealed).decode()
    except (Erased, Tampered) as error:
        logger.error("the %s of profile %s does not open: %s", kind, profile_id, type(error).__name__)
        return None


def value_mask(kind: str, value: str) -> str:
    """`c•••@example.com`, `+43•••67`: enough to know one's own, too little to learn another's. "" stays "".

    A customer number says nothing outside the shop and stays whole.
    """
    if kind == Identifier.Kind.EMAIL:
        local, at, domain = value.rpartition("@")
        return f"{local[:1]}{MASK}@{domain}" if at else ""
    if kind == Identifier.Kind.PHONE:
        return f"{value[:3]}{MASK}{value[-2:]}" if len(value) > 7 else MASK if value else ""
    if kind == Identifier.Kind.PUSH:
        return MASK if value else ""
    return value


def addresses_open(kind: str, held: Mapping[int, tuple[bytes, bytes]], *, vault: Vault | None = None) -> dict[int, str]:
    """The values of one identifier of the kind for each person: profile id → digest and sealed value.

    vault: the keys of these people, where the caller has them. Those that don't open are left out. Raises
    MasterKeyMissing.
    """
    vault = vault_open(held) if vault is None else vault
    found = {
        profile_id: value_open(vault, profile_id, kind, digest, sealed) for profile_id, (digest, sealed) in held.items()
    }
    return {profile_id: value for profile_id, value in found.items() if value is not None}


def addresses_opened(kind: str, held: Mapping[int, tuple[bytes, bytes]], *, vault: Vault) -> dict[int, Opened]:
    """As `addresses_open`, with what they were opened from, for `addresses_again`."""
    return {
        profile_id: Opened(value, *held[profile_id], vault.stored_key(profile_id, held[profile_id][1]))
        for profile_id, value in addresses_open(kind, held, vault=vault).items()
    }


def addresses_again(
    kind: str, held: Mapping[int, tuple[bytes, bytes]], before: Mapping[int, Opened | None]
) -> dict[int, str]:
    """As `addresses_open`, for who opened most of them before: keys are read, and only what is not as it was is opened.

    Raises MasterKeyMissing.
    """
    vault = vault_open(held)
    found: dict[int, str] = {}
    others: dict[int, tuple[bytes, bytes]] = {}
    for profile_id, (digest, sealed) in held.items():
        known = before.get(profile_id)
        if known and known.key and known[1:] == (digest, sealed, vault.stored_key(profile_id, sealed)):
            found[profile_id] = known.value
        else:
            others[profile_id] = digest, sealed
    return found | addresses_open(kind, others, vault=vault) if others else found


def addresses_read(*, profile_ids: Iterable[int], kind: str) -> dict[int, str]:
    """The main identifier of the kind, normalized, of those people who have one that opens.

    Raises MasterKeyMissing.
    """
    return addresses_open(kind, addresses_held(profile_ids=profile_ids, kind=kind))


def addresses_held(*, profile_ids: Iterable[int], kind: str) -> dict[int, tuple[bytes, bytes]]:
    """Digest and sealed value of the main identifier of the kind of those people who have one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT profile_id, digest, sealed FROM profiles_identifier"
            " WHERE profile_id = ANY(%s::bigint[]) AND kind = %s AND main",
            [ids_text(profile_ids), kind],
        )
        return {row[0]: (bytes(row[1]), bytes(row[2])) for row in cursor.fetchall()}


def customer_numbers(*, profile_ids: Iterable[int], of: str) -> dict[int, str]:
    """The number by which a system, `of`, knows each person, the one known last; without those it does not know.

    Raises MasterKeyMissing.
    """
    rows = list(
        Identifier.objects.filter(profile_id__in=list(profile_ids), kind=Identifier.Kind.EXTERNAL)
        .order_by("pk")
        .values_list("profile_id", "digest", "sealed")
    )
    vault, prefix = vault_open([row[0] for row in rows]), f"{of}:"
    opened = (
        (row[0], value_open(vault, row[0], Identifier.Kind.EXTERNAL, bytes(row[1]), bytes(row[2]))) for row in rows
    )
    return {person: value.removeprefix(prefix) for person, value in opened if value and value.startswith(prefix)}


def kinds_held(profile_id: int) -> set[str]:
    """Of which kinds a person has a main identifier, without a look at their values."""
    return set(Identifier.objects.filter(profile_id=profile_id, main=True).values_list("kind", flat=True))


def address_by_digest(*, profile_id: int, kind: str, digest: bytes) -> str | None:
    """The person's identifier with this digest, normalized; None when there is none that opens.

    Raises MasterKeyMissing.
    """
    sealed = (
        Identifier.objects.filter(profile_id=profile_id, kind=kind, digest=digest)
        .values_list("sealed", flat=True)
        .first()
    )
    return None if sealed is None else value_open(vault_open([profile_id]), profile_id, kind, digest, bytes(sealed))


def identifiers_read(*, profile_id: int) -> list[Known]:
    """All by which a person is known and that opens, the oldest first. Raises MasterKeyMissing."""
    rows = list(Identifier.objects.filter(profile_id=profile_id).order_by("pk"))
    vault = vault_open([profile_id] if rows else [])
    return [
        Known(one.pk, one.kind, value, one.main, one.verified, one.source, one.created_at)
        for one in rows
        if (value := value_open(vault, profile_id, one.kind, bytes(one.digest), bytes(one.sealed))) is not None
    ]


def holders_of(*, kind: str, value: str) -> list[int]:
    """The ids of all who are known by this value (normalized), whose main one it is first."""
    return digest_holders(kind=kind, digests=address_digests(kind, value))


def digest_holders(*, kind: str, digests: Sequence[bytes]) -> list[int]:
    """The same by the digests of the value, of whatever version."""
    rows = Identifier.objects.filter(kind=kind, digest__in=digests)
    return list(rows.order_by("-main", "profile_id").values_list("profile_id", flat=True))


def identifier_put(*, profile_id: int, kind: str, value: str, verified: bool = False, source: str = "") -> int:
    """Let a person be known by this value (normalized) too. Returns the identifier's id.

    Of its kind the first address becomes the main one; a verified one takes the place of one that is not. A value
    that the person has already stays as it is, and becomes verified if it is now.
    Raises django.db.IntegrityError for a customer number that somebody else has, Erased for who was erased.
    """
    digest, *older = address_digests(kind, value)
    with transaction.atomic():
        identifiers_redigest(older)  # whoever has it under an older version: the database looks after twins
        Profile.objects.select_for_update(no_key=True).get(pk=profile_id)  # one writer a person
        vault = vault_make([profile_id])
        held = list(Identifier.objects.filter(profile_id=profile_id, kind=kind))
        main = next((one for one in held if one.main), None)
        found = next((one for one in held if bytes(one.digest) == digest), None)
        if found is None:
            sealed = vault.seal(profile_id, place_of(kind, digest), value.encode())
            found = Identifier.objects.create(
                profile_id=profile_id, kind=kind, digest=digest, sealed=sealed, verified=verified, source=source
            )
            digests_came_in([(profile_id, kind, value)])
        elif verified and not found.verified:
            Identifier.objects.filter(pk=found.pk).update(verified=True)
        becomes_main = kind in REACHED_BY and (main is None or (verified and not main.verified and main.pk != found.pk))
        if becomes_main:
            if main is not None:
                Identifier.objects.filter(pk=main.pk).update(main=False)
            Identifier.objects.filter(pk=found.pk).update(main=True)
    return int(found.pk)


def identifier_verify(*, profile_id: int, identifier_id: int) -> bool:
    """Mark an address of a person as verified: they showed that it is theirs. False when it is not there any more."""
    return Identifier.objects.filter(pk=identifier_id, profile_id=profile_id).update(verified=True) > 0


def identifier_lead(*, profile_id: int, identifier_id: int) -> None:
    """Make an identifier of a person the main one of its kind, verified, in the caller's transaction."""
    Profile.objects.select_for_update(no_key=True).get(pk=profile_id)  # one writer a person
    found = Identifier.objects.get(pk=identifier_id, profile_id=profile_id)
    Identifier.objects.filter(profile_id=profile_id, kind=found.kind, main=True).exclude(pk=found.pk).update(main=False)
    Identifier.objects.filter(pk=found.pk).update(main=True, verified=True)


def identifier_drop(*, profile_id: int, kind: str, value: str) -> bool:
    """Let a person not be known by this value (normalized) any more. False when they were not, or it is the main one.

    In the caller's transaction. Suppression of an address stays.
    """
    held = Identifier.objects.filter(profile_id=profile_id, kind=kind, digest__in=address_digests(kind, value))
    return held.filter(main=False).delete()[0] > 0


def identifier_gone(*, profile_id: int, kind: str, value: str) -> bool:
    """Let go of a value (normalized) that nothing reaches any more. False when the person has it no more.

    Also where it is the main one: then the newest other one of its kind takes its place.
    """
    with transaction.atomic():
        Profile.objects.select_for_update(no_key=True).get(pk=profile_id)  # one writer a person
        held = Identifier.objects.filter(profile_id=profile_id, kind=kind)
        gone = held.filter(digest__in=address_digests(kind, value)).delete()[0] > 0
        newest = held.order_by("-pk").first()
        if gone and newest is not None and not held.filter(main=True).exists():
            Identifier.objects.filter(pk=newest.pk).update(main=True)
    return gone


def identifiers_add(identifiers: Iterable[NewIdentifier]) -> int:
    """Add many identifiers that nobody has yet, in the caller's transaction. Returns how many.

    COPY in batches, for those who bring people by the thousand. Raises django.db.IntegrityError for one that is there.
    """
    waiting, count, at = iter(identifiers), 0, now()
    with connection.cursor() as cursor:
        while some := list(islice(waiting, BATCH)):
            count += copy_rows(cursor, "profiles_identifier", COLUMNS, _rows(some, at))
            digests_came_in([(one.profile_id, one.kind, one.value) for one in some])
    return count


def _rows(identifiers: Sequence[NewIdentifier], at: datetime) -> Iterable[Sequence[object]]:
    vault = vault_make(one.profile_id for one in identifiers)
    for one in identifiers:
        digest = address_digest(one.kind, one.value)
        sealed = vault.seal(one.profile_id, place_of(one.kind, digest), one.value.encode())
        yield (one.profile_id, one.kind, sealed, digest, one.verified, one.main, one.source, one.created_at or at)
