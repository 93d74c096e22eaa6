"""Digests of addresses when their key changes: all that hold one go over to the newer version together.

Suppression, messages and others hold digests beside identifiers. They say here how they follow; a follower is called in
the transaction in which an identifier comes in, or is digested anew, under a newer version.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from django.conf import settings
from django.db import connection, transaction

from apps.foundation.core.signing import address_digests

from .models import Identifier
from .vault import Erased, Place, Tampered, Vault, vault_make

DIGEST_VERSION: Final = "CASE WHEN length({0}) = 32 THEN 1 ELSE get_byte({0}, 0) END"
"""SQL: the version of the key that made a digest."""


def place_of(kind: str, digest: bytes) -> Place:
    """Where an identifier's value is sealed."""
    return Place("profiles_identifier", "sealed", f"{kind}:{digest.hex()}")


class Moved(NamedTuple):
    """An address of a person that is known by a newer digest now."""

    profile_id: int
    kind: str
    before: bytes
    after: bytes


class Follower(NamedTuple):
    """Who holds digests. follow: take over those that moved, safe to do twice; versions: how many there are of each."""

    name: str
    follow: Callable[[Sequence[Moved]], None]
    versions: Callable[[], Mapping[int, int]]


_followers: dict[str, Follower] = {}


def digest_follower(
    name: str, follow: Callable[[Sequence[Moved]], None], versions: Callable[[], Mapping[int, int]]
) -> None:
    """Say who holds digests, in an app's `ready()`. name: in words, for the operator."""
    _followers[name] = Follower(name, follow, versions)


def digest_followers() -> list[Follower]:
    """All who hold digests beside identifiers."""
    return [_followers[name] for name in sorted(_followers)]


def lookup_newest() -> int:
    """The version that new digests carry."""
    return next(iter(settings.LOOKUP_KEYS))


def digests_by_version(table: str, column: str, where: str = "") -> dict[int, int]:
    """How many digests a column has of each version. table, column, where: names and SQL of our own."""
    version = DIGEST_VERSION.format(column)
    only = f" AND {where}" if where else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {version}, count(*) FROM {table} WHERE length({column}) >= 32{only} GROUP BY 1"  # noqa: S608
        )
        return dict(cursor.fetchall())


def digests_old(after: int, limit: int) -> list[tuple[int, bytes]]:
    """The next identifiers, by id, whose digest is of another version than the newest."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, digest FROM profiles_identifier"  # noqa: S608
            f" WHERE id > %s AND {DIGEST_VERSION.format('digest')} <> %s ORDER BY id LIMIT %s",
            [after, lookup_newest(), limit],
        )
        return [(row[0], bytes(row[1])) for row in cursor.fetchall()]


def digests_moved(moved: Sequence[Moved]) -> None:
    """Let all followers take over, in the caller's transaction."""
    if moved:
        for follower in digest_followers():
            follower.follow(moved)


def digests_came_in(known: Sequence[tuple[int, str, str]]) -> None:
    """Tell the followers of identifiers that came in: person, kind, normalized value. Nothing with one live version."""
    if len(settings.LOOKUP_KEYS) > 1:
        moved = []
        for profile_id, kind, value in known:
            newest, *older = address_digests(kind, value)
            moved += [Moved(profile_id, kind, before, newest) for before in older]
        digests_moved(moved)


def identifiers_redigest(older: Sequence[bytes]) -> int:
    """Bring all identifiers with one of these digests over to the newest version, and all who hold the same digests.

    In the caller's transaction. Values are sealed anew, since their digest is bound into them. What does not open
    stays as it is. Returns how many were brought over.
    """
    if not older:
        return 0
    rows = list(
        Identifier.objects.select_for_update(no_key=True)
        .filter(digest__in=list(older))
        .order_by("pk")
        .only("profile_id", "kind", "digest", "sealed", "main", "verified")
    )
    vault, moved = vault_make(row.profile_id for row in rows), []
    newer = [_renewed(vault, row) for row in rows]
    kept = _kept(rows, newer)
    changed: list[tuple[int, bytes, bytes]] = []
    for row, new in zip(rows, newer, strict=True):
        if new is None:
            continue
        digest, sealed = new
        moved.append(Moved(row.profile_id, row.kind, bytes(row.digest), digest))
        if (twin := kept.get((row.profile_id, row.kind, digest))) is None:
            changed.append((row.pk, digest, sealed))
        else:  # it came in meanwhile under the newest version: one of the two is enough
            main, verified = row.main or twin.main, row.verified or twin.verified
            row.delete()
            Identifier.objects.filter(pk=twin.pk).update(main=main, verified=verified)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE profiles_identifier AS identifier SET digest = new.digest, sealed = new.sealed"
            " FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[]) AS new(id, digest, sealed)"
            " WHERE identifier.id = new.id",
            [[one[0] for one in changed], [one[1] for one in changed], [one[2] for one in changed]],
        )
        digests_moved(moved)
    return len(moved)


def _renewed(vault: Vault, row: Identifier) -> tuple[bytes, bytes] | None:
    """An identifier's newest digest, and its value sealed for it."""
    try:
        value = vault.open(row.profile_id, place_of(row.kind, bytes(row.digest)), bytes(row.sealed))
    except (Erased, Tampered):
        return None
    digest = address_digests(row.kind, value.decode())[0]
    return digest, vault.seal(row.profile_id, place_of(row.kind, digest), value)


def _kept(
    rows: Sequence[Identifier], newer: Sequence[tuple[bytes, bytes] | None]
) -> dict[tuple[int, str, bytes], Identifier]:
    """Identifiers that are there under the newest digest already, by person, kind and digest."""
    wanted = [new[0] for new in newer if new is not None]
    people = {row.profile_id for row in rows}
    there = Identifier.objects.filter(profile_id__in=people, digest__in=wanted)
    return {(one.profile_id, one.kind, bytes(one.digest)): one for one in there}
