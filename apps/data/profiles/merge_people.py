"""What profiles themselves merge: columns, attributes, identifiers, and who was merged into the absorbed one before.

Sealed values are sealed anew with the kept one's key, for a key opens only its own person's. The absorbed one's profile
stays as it is, so undoing has nothing to do there.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from django.db import connection
from django.db.models import F
from django.db.models.functions import Greatest, Now

from .addresses import value_open
from .attributes import place_of as attribute_place
from .lookup import place_of
from .merge_rows import rows_kept, rows_put_back
from .models import Identifier, Profile, SealedAttribute
from .registry import MergePart, Merging, identifier_pointers, merge_parts
from .vault import Erased, Tampered, Vault, vault_make, vault_open

_COLUMNS: Final = ("first_name", "last_name", "country", "language", "time_zone")
_TABLE: Final = "profiles_identifier"


def merging_register() -> None:
    """Called when the app is ready, first of all parts."""
    merge_parts.append(MergePart("profile", _take, _give))


def _take(merging: Merging) -> dict[str, Any]:
    kept, absorbed = (Profile.objects.get(pk=one) for one in (merging.kept, merging.absorbed))
    columns = {
        name: getattr(absorbed, name) for name in _COLUMNS if not getattr(kept, name) and getattr(absorbed, name)
    }
    names = sorted(name for name, value in absorbed.attributes.items() if kept.attributes.get(name) is None)
    clear = {name: absorbed.attributes[name] for name in names if absorbed.attributes[name] is not None}
    vault = vault_make([merging.kept, merging.absorbed])
    told = {
        "columns": columns,
        "clear": clear,
        "empty": sorted(name for name in clear if name in kept.attributes),
        "sealed": _sealed_take(vault, merging),
        "identifiers": _identifiers_take(vault, merging),
        "family": list(Profile.objects.filter(merged_into=absorbed).values_list("pk", flat=True)),
    }
    for name, value in columns.items():
        setattr(kept, name, value)
    kept.attributes = {**kept.attributes, **clear}
    kept.save(update_fields=[*columns, "attributes"])
    Profile.objects.filter(merged_into=absorbed).update(merged_into=kept)
    Profile.objects.filter(pk=absorbed.pk).update(merged_into=kept)
    _changed(merging)
    return told


def _give(merging: Merging, told: Mapping[str, Any]) -> None:
    kept = Profile.objects.get(pk=merging.kept)
    fields = {name: "" for name, value in told["columns"].items() if getattr(kept, name) == value}
    attributes = dict(kept.attributes)
    for name, value in told["clear"].items():
        if attributes.get(name) == value:
            del attributes[name]
            if name in told["empty"]:
                attributes[name] = None
    Profile.objects.filter(pk=kept.pk).update(**fields, attributes=attributes)
    Profile.objects.filter(pk__in=told["family"]).update(merged_into=merging.absorbed)
    Profile.objects.filter(pk=merging.absorbed).update(merged_into=None)
    _changed(merging)
    for held in told["sealed"]:
        SealedAttribute.objects.filter(
            profile_id=merging.kept, definition_id=held["definition"], changed_at=held["changed_at"]
        ).delete()
    _identifiers_give(merging, told["identifiers"])


def _changed(merging: Merging) -> None:
    """Both have another version now: versions only grow, also where a merge is undone."""
    both = Profile.objects.filter(pk__in=[merging.kept, merging.absorbed])
    both.update(updated_at=Greatest(Now(), F("updated_at") + timedelta(microseconds=1)))


def _sealed_take(vault: Vault, merging: Merging) -> list[dict[str, Any]]:
    """Sensitive attributes that the kept one has no value of."""
    has = SealedAttribute.objects.filter(profile_id=merging.kept).values("definition_id")
    taken = []
    for one in SealedAttribute.objects.filter(profile_id=merging.absorbed).exclude(definition_id__in=has):
        place = attribute_place(one.definition_id)
        try:
            plain = vault.open(merging.absorbed, place, bytes(one.sealed))
        except (Erased, Tampered):
            continue
        SealedAttribute.objects.create(
            profile_id=merging.kept,
            definition_id=one.definition_id,
            sealed=vault.seal(merging.kept, place, plain),
            digest=one.digest,
            changed_at=one.changed_at,
        )
        taken.append({"definition": one.definition_id, "changed_at": one.changed_at.isoformat()})
    return taken


# --- identifiers ---


def _rows(profile_id: int) -> list[Identifier]:
    return list(Identifier.objects.filter(profile_id=profile_id).order_by("pk"))


def _identifiers_take(vault: Vault, merging: Merging) -> dict[str, Any]:
    """The absorbed one's identifiers become the kept one's, whose main one leads unless only the other is verified.

    pairs: by the id of each, that of the row that stands for it from now on; pointed: who pointed at a row that the
    kept one had too, as table, column, its id and the ids of the rows that point.
    """
    before = {one.pk: (one.main, one.verified) for one in _rows(merging.kept)}
    rows = rows_kept(_TABLE, "profile_id = %s", [merging.absorbed])
    pairs: dict[str, int] = {}
    pointed: list[list[Any]] = []
    for one in _rows(merging.absorbed):
        digest = bytes(one.digest)
        value = value_open(vault, merging.absorbed, one.kind, digest, bytes(one.sealed))
        if value is None:
            continue
        same = Identifier.objects.filter(profile_id=merging.kept, kind=one.kind, digest=digest).first()
        stands = one.pk if same is None else same.pk
        pairs[str(one.pk)] = stands
        if same is not None:
            pointed += _point(one.pk, same.pk)
            Identifier.objects.filter(pk=one.pk).delete()
        else:
            sealed = vault.seal(merging.kept, place_of(one.kind, digest), value.encode())
            Identifier.objects.filter(pk=one.pk).update(profile_id=merging.kept, sealed=sealed, main=False)
        if one.verified:
            Identifier.objects.filter(pk=stands).update(verified=True)
        if one.main:
            _lead(merging.kept, stands)
    after = {one.pk: (one.main, one.verified) for one in _rows(merging.kept)}
    changed = {str(pk): [*was, *after[pk]] for pk, was in before.items() if after[pk] != was}
    return {"rows": rows, "pairs": pairs, "pointed": pointed, "changed": changed}


def _point(before: int, after: int) -> list[list[Any]]:
    """Let what points at an identifier point at another."""
    moved: list[list[Any]] = []
    with connection.cursor() as cursor:
        for table, column in identifier_pointers:
            cursor.execute(
                f"UPDATE {table} SET {column} = %s WHERE {column} = %s RETURNING id::text",  # noqa: S608
                [after, before],
            )
            moved.append([table, column, before, [row[0] for row in cursor.fetchall()]])
    return [one for one in moved if one[3]]


def _lead(kept: int, identifier_id: int) -> None:
    """The absorbed one's main one leads where the kept one has none, or none that is verified."""
    one = Identifier.objects.get(pk=identifier_id)
    main = Identifier.objects.filter(profile_id=kept, kind=one.kind, main=True).first()
    if main is not None and (main.verified or not one.verified):
        return
    if main is not None:
        Identifier.objects.filter(pk=main.pk).update(main=False)
    Identifier.objects.filter(pk=one.pk).update(main=True)


def _identifiers_give(merging: Merging, told: Mapping[str, Any]) -> None:
    vault = vault_open([merging.kept, merging.absorbed])
    there = {one.pk: one for one in _rows(merging.kept)}
    pairs: Mapping[str, int] = told["pairs"]
    rows = [
        _as_it_was(vault, merging, row, there.get(pairs[str(row["id"])]))
        for row in told["rows"]
        if str(row["id"]) in pairs
    ]
    with connection.cursor() as cursor:  # what points at a row is looked at when the transaction ends: it is back then
        cursor.execute(f"DELETE FROM {_TABLE} WHERE id = ANY(%s)", [[row["id"] for row in rows]])  # noqa: S608
        rows_put_back(_TABLE, rows)
        for table, column, before, pointing in told["pointed"]:
            cursor.execute(f"UPDATE {table} SET {column} = %s WHERE id::text = ANY(%s)", [before, pointing])  # noqa: S608
    _flags_give(merging.kept, told["changed"])


def _as_it_was(vault: Vault, merging: Merging, row: dict[str, Any], now_there: Identifier | None) -> dict[str, Any]:
    """The absorbed one's row. Where a key changed since, its digest is the one of now, and its value sealed anew."""
    kind, digest, sealed = row["kind"], _bytes(row["digest"]), _bytes(row["sealed"])
    if now_there is None:
        return row
    if bytes(now_there.digest) == digest and value_open(vault, merging.absorbed, kind, digest, sealed) is not None:
        return row
    digest = bytes(now_there.digest)
    value = value_open(vault, merging.kept, kind, digest, bytes(now_there.sealed))
    if value is None:
        return row
    sealed = vault.seal(merging.absorbed, place_of(kind, digest), value.encode())
    return {**row, "digest": f"\\x{digest.hex()}", "sealed": f"\\x{sealed.hex()}"}


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("\\x"))


def _flags_give(kept: int, changed: Mapping[str, Sequence[bool]]) -> None:
    """Main and verified as they were, of those that nobody changed since; whoever led leads where nobody else does."""
    for pk, (_, was_verified, _, is_verified) in changed.items():
        if was_verified != is_verified:
            Identifier.objects.filter(pk=int(pk), profile_id=kept, verified=is_verified).update(verified=was_verified)
    for pk, (was_main, _, is_main, _) in changed.items():
        if is_main and not was_main:
            Identifier.objects.filter(pk=int(pk), profile_id=kept).update(main=False)
    for pk, (was_main, _, _, _) in changed.items():
        one = Identifier.objects.filter(pk=int(pk), profile_id=kept).first()
        if one is None or not was_main:
            continue
        if not Identifier.objects.filter(profile_id=kept, kind=one.kind, main=True).exists():
            Identifier.objects.filter(pk=one.pk).update(main=True)
