"""What is known of people by free names: the one place that reads and writes attributes, clear and sealed.

What is not sensitive is JSON in the profile; a sensitive value is sealed with its person's key and found by its digest
(`SealedAttribute`). Both are read in one statement, so that a value that is being sealed is seen in one place or the
other. The hot path (`values_read`): arrays and dicts, one read of keys a batch, none where nothing is sealed.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from django.db import connection, transaction
from django.utils.formats import date_format, number_format
from django.utils.timezone import localtime
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from apps.foundation.core.caches import Cache
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound
from apps.foundation.core.postgres import Part, looked_up, people_select
from apps.foundation.core.signing import address_digests

from .attribute_values import is_known, reader_of, token_of
from .contracts import PROFILE_COLUMNS, AttributeShape, AttributesHeld, AttributeShown, HeldSealed
from .lookup import DIGEST_VERSION, lookup_newest
from .models import AttributeDefinition, AttributeSeen, Profile, SealedAttribute, label_of
from .vault import Erased, Place, Tampered, Vault, vault_make, vault_open

logger = logging.getLogger(__name__)

NAME_LIMIT: Final = 120
WRITING: Final = 7301_2026
"""Advisory lock that everybody shares who read definitions and is about to write attributes. Nobody takes it alone."""
_SEEN_EVERY: Final = timedelta(hours=1)

_HELD: Final = """
LEFT JOIN (
  SELECT value.profile_id, array_agg(definition.name) AS names, array_agg(definition.id) AS ids,
    array_agg(value.digest) AS digests, array_agg(value.sealed) AS sealed
  FROM profiles_sealedattribute AS value JOIN profiles_attributedefinition AS definition
    ON definition.id = value.definition_id
  WHERE value.profile_id = ANY(%(people)s::bigint[]) AND definition.name = ANY(%(names)s) GROUP BY value.profile_id
) AS held ON held.profile_id = person.id
"""
PROFILE: Final = looked_up("profiles_profile", "profile", "id = person.id", must=True)
"""Joins a person's profile, in a statement about people."""
_CLEAR_WRITE: Final = """
UPDATE profiles_profile AS p SET updated_at = statement_timestamp(), attributes =
  (p.attributes - ARRAY(SELECT jsonb_array_elements_text(new.gone))) || new.put
FROM unnest(%s::bigint[], %s::jsonb[], %s::jsonb[]) AS new(id, put, gone) WHERE p.id = new.id
"""
_SEALED_WRITE: Final = """
INSERT INTO profiles_sealedattribute AS held (profile_id, definition_id, sealed, digest, changed_at)
SELECT new.profile_id, new.definition_id, new.sealed, new.digest, statement_timestamp()
FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[], %s::bytea[]) AS new(profile_id, definition_id, sealed, digest)
ORDER BY 1, 2
ON CONFLICT (profile_id, definition_id) DO UPDATE
SET sealed = EXCLUDED.sealed, digest = EXCLUDED.digest, changed_at = EXCLUDED.changed_at
WHERE %s OR held.digest <> EXCLUDED.digest OR length(EXCLUDED.digest) = 0
RETURNING profile_id
"""
_CLEAR_DROP: Final = "UPDATE profiles_profile SET attributes = attributes - %s::text[] WHERE id = ANY(%s)"
_SEALED_DROP: Final = """
DELETE FROM profiles_sealedattribute AS held USING unnest(%s::bigint[], %s::bigint[]) AS gone(profile_id, definition_id)
WHERE held.profile_id = gone.profile_id AND held.definition_id = gone.definition_id
"""


# --- definitions ---

_shapes: Final = Cache[tuple[str, ...], Mapping[str, AttributeShape]]("attributes", "attributes", "CACHE_SITE_SECONDS")


def shapes_read(names: Iterable[str] | None = None, *, locked: bool = False) -> dict[str, AttributeShape]:
    """The attributes that are defined, by name: of these names, or all.

    locked: they stay as they are until the caller's transaction ends, and whoever seals values waits for it: so nothing
    is written in clear once a name is sensitive. Every writer of attributes reads them so.
    """
    rows = AttributeDefinition.objects.all() if names is None else AttributeDefinition.objects.filter(name__in=names)
    if locked:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [WRITING])  # `attribute_moving` waits for those
            wanted = list(rows.order_by("pk").values_list("pk", flat=True))
            cursor.execute(
                "SELECT FROM profiles_attributedefinition WHERE id = ANY(%s) ORDER BY id FOR SHARE", [wanted]
            )
    return {row.name: shape_of(row) for row in rows}


def shapes_known(names: Iterable[str], stamps: Mapping[str, str] | None) -> Mapping[str, AttributeShape]:
    """The attributes of these names that are defined, kept in this process. stamps: as they were read before; None to
    read them now."""
    if stamps is None:
        return shapes_read(names)
    key = tuple(sorted(names))
    return _shapes.get(key, stamps, lambda: shapes_read(key))


def sensitive_names(names: Iterable[str] | None = None) -> set[str]:
    """Which of these names are sensitive; of all, without."""
    rows = AttributeDefinition.objects.filter(sensitive=True)
    return set((rows if names is None else rows.filter(name__in=names)).values_list("name", flat=True))


def shape_of(row: AttributeDefinition) -> AttributeShape:
    """A definition as plain data."""
    return AttributeShape(
        id=row.pk,
        name=row.name,
        kind=row.kind,  # type: ignore[arg-type]  # the choices are those of Kind
        sensitive=row.sensitive,
        required=row.required,
        correctable=row.correctable,
        moving=bool(row.moving),
        labels=row.labels,
        allowed=tuple(row.allowed),
        fallback=row.fallback,
        fresh_days=row.fresh_days,
    )


def place_of(definition_id: int) -> Place:
    """Where a sensitive value is sealed; whose it is, is bound in beside."""
    return Place("profiles_sealedattribute", "sealed", str(definition_id))


def digests_of(name: str, value: object) -> list[bytes]:
    """By what a value of a sensitive attribute is found, the newest version first; none for what is only known."""
    token = token_of(value)
    return [] if token is None else address_digests(f"attribute:{name}", token)


# --- reads ---


def attributes_held(
    *, profile_ids: Sequence[int], names: Sequence[str], columns: Sequence[str] = ()
) -> dict[int, AttributesHeld]:
    """What is stored of these people who exist, in one statement. columns: of PROFILE_COLUMNS; names: any others."""
    part = held_part(names, columns)
    return {
        profile_id: held_told(found, names, columns)
        for profile_id, [found] in people_select([part], profile_ids, {"names": list(names)}).items()
    }


@lru_cache(maxsize=256)
def _held_part(names: tuple[str, ...], columns: tuple[str, ...]) -> Part:
    read = [f"profile.{name}" for name in columns]
    if names:
        place = "(profile.attributes -> (%(names)s::text[])[{}])::text"
        read += [place.format(number) for number in range(1, len(names) + 1)]
        read += ["held.names", "held.ids", "held.digests", "held.sealed"]
    return Part(tuple(read) or ("NULL",), (PROFILE, _HELD) if names else (PROFILE,))


def held_part(names: Sequence[str], columns: Sequence[str] = ()) -> Part:
    """What `held_told` reads, in a statement about people; `names` is its parameter. columns: of PROFILE_COLUMNS."""
    if unknown := set(columns) - set(PROFILE_COLUMNS):
        raise LookupError(f"no columns of a profile: {sorted(unknown)}")
    return _held_part(tuple(names), tuple(columns))


def held_told(found: Sequence[Any], names: Sequence[str], columns: Sequence[str] = ()) -> AttributesHeld:
    """What the columns of `held_part` tell of one person."""
    first, last = len(columns), len(columns) + len(names)
    sealed: dict[str, HeldSealed] = {}
    if names and found[last] is not None:
        sealed = {
            name: HeldSealed(pk, bytes(digest), bytes(value))
            for name, pk, digest, value in zip(*found[last : last + 4], strict=True)
        }
    return AttributesHeld(
        dict(zip(columns, found[:first], strict=False)), dict(zip(names, found[first:last], strict=True)), sealed
    )


def values_read(
    *, profile_ids: Sequence[int], names: Sequence[str], columns: Sequence[str] = (), exact: bool = False
) -> dict[int, dict[str, Any]]:
    """Columns and attributes of these people who exist, opened: by profile id, then by name; None where nothing is
    known, "" for a column.

    exact: numbers as Decimal. What does not open (tampered with) is None, and logged. Raises MasterKeyMissing.
    """
    held = attributes_held(profile_ids=profile_ids, names=names, columns=columns)
    sealing = [profile_id for profile_id, one in held.items() if one.sealed]
    vault = vault_open(sealing) if sealing else None
    return {profile_id: values_open(vault, profile_id, one, exact=exact) for profile_id, one in held.items()}


def values_open(vault: Vault | None, profile_id: int, held: AttributesHeld, *, exact: bool = False) -> dict[str, Any]:
    """What is stored of a person, opened: see `values_read`. vault: with their key, where something is sealed."""
    values = dict(held.columns)
    for name, text in held.clear.items():
        values[name] = None if text is None else json_read(text, exact=exact)
    if vault is not None:
        for name, sealed in held.sealed.items():
            values[name] = value_open(vault, profile_id, sealed, exact=exact)
    return values


def json_read(text: str, *, exact: bool = False) -> Any:
    """JSON as it is stored; exact: with numbers as Decimal."""
    return json.loads(text, parse_int=Decimal, parse_float=Decimal) if exact else json.loads(text)


def value_open(vault: Vault, profile_id: int, held: HeldSealed, *, exact: bool = False) -> Any:
    """The value of a sensitive attribute; None where it does not open. Raises MasterKeyMissing."""
    try:
        return json_read(vault.open(profile_id, place_of(held.definition_id), held.sealed).decode(), exact=exact)
    except (Erased, Tampered) as error:
        logger.error(
            "attribute %s of profile %s does not open: %s", held.definition_id, profile_id, type(error).__name__
        )
        return None


def attributes_read(*, profile_id: int, names: Iterable[str] | None = None) -> dict[str, Any]:
    """What is known of one person by free names: all, or these; what is not known is left out.

    Raises MasterKeyMissing.
    """
    if names is None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT jsonb_object_keys(CASE jsonb_typeof(attributes) WHEN 'object' THEN attributes ELSE '{}' END)"
                " FROM profiles_profile WHERE id = %s"
                " UNION SELECT definition.name FROM profiles_sealedattribute AS held"
                " JOIN profiles_attributedefinition AS definition ON definition.id = held.definition_id"
                " WHERE held.profile_id = %s",
                [profile_id, profile_id],
            )
            names = [row[0] for row in cursor.fetchall()]
    values = values_read(profile_ids=[profile_id], names=sorted(names)).get(profile_id, {})
    return {name: value for name, value in values.items() if is_known(value)}


def attributes_shown(*, profile_id: int, whole: bool) -> list[AttributeShown]:
    """What is known of one person, in words of the language that is active, by label.

    whole: sensitive values too; else it is only said that there is one. Raises MasterKeyMissing.
    """
    shapes = shapes_read()
    hidden = set() if whole else {name for name, shape in shapes.items() if shape.sensitive}
    sealed = hidden & names_held(profile_id)
    known = attributes_read(profile_id=profile_id, names=None if whole else _clear_names(profile_id) - hidden)
    language = get_language() or "en"
    shown = [
        _shown(name, shapes.get(name), language, value_in_words(value, shapes.get(name)))
        for name, value in known.items()
    ]
    shown += [_shown(name, shapes[name], language, "") for name in sealed]
    return sorted(shown, key=lambda one: (one.label.casefold(), one.name))


def _shown(name: str, shape: AttributeShape | None, language: str, value: str) -> AttributeShown:
    label = label_of(name, {} if shape is None else shape.labels, language)
    return AttributeShown(name, label, value, shape is not None and shape.sensitive)


def names_held(profile_id: int) -> set[str]:
    """By which names something is known of a person, without a look at the values."""
    held = SealedAttribute.objects.filter(profile_id=profile_id)
    sealed = AttributeDefinition.objects.filter(pk__in=held.values("definition_id"))
    return _clear_names(profile_id) | set(sealed.values_list("name", flat=True))


def _clear_names(profile_id: int) -> set[str]:
    clear = Profile.objects.filter(pk=profile_id).values_list("attributes", flat=True).first()
    return {name for name, value in clear.items() if is_known(value)} if isinstance(clear, dict) else set()


def value_in_words(value: Any, shape: AttributeShape | None = None) -> str:
    """A value for people, in the language that is active."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, int | float | Decimal):
        return str(number_format(value, use_l10n=True))
    if isinstance(value, list):
        return ", ".join(value_in_words(one) for one in value if is_known(one))
    if not isinstance(value, str):
        return "" if value is None else json.dumps(value, ensure_ascii=False)
    try:
        if shape is not None and shape.kind == "date":
            return str(date_format(date.fromisoformat(value), "DATE_FORMAT"))
        if shape is not None and shape.kind == "datetime":
            return str(date_format(localtime(datetime.fromisoformat(value)), "DATETIME_FORMAT"))
    except ValueError:
        pass  # one that was there before the definition: as it is
    return value


# --- writes ---


def attributes_fit(
    values: Mapping[str, object], shapes: Mapping[str, AttributeShape]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Values as they are stored (None empties), and for those that don't fit, why not. No reason repeats a value."""
    fitting: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name, given in values.items():
        shape = shapes.get(name)
        try:
            name_check(name)
            fitting[name] = reader_of(shape)(given)
            if fitting[name] is None and shape is not None and shape.required:
                raise ValueError("is required: it can't be emptied")
        except ValueError as error:
            fitting.pop(name, None)
            faults[name] = str(error)
    return fitting, faults


def name_check(name: str) -> None:
    """Raise ValueError for what no attribute can be called."""
    if name in PROFILE_COLUMNS:
        raise ValueError("is a field of the profile itself, and no attribute")
    if not name.strip() or len(name) > NAME_LIMIT or not name.isprintable():
        raise ValueError(f"a name has 1 to {NAME_LIMIT} printable characters")


def attributes_put(
    *,
    profile_id: int,
    values: Mapping[str, object],
    source: str = "",
    only_fitting: bool = False,
    correcting: bool = False,
) -> list[str]:
    """Let these attributes of a person be so; None or "" empties one. Returns the names of those that changed.

    Undefined ones are kept as they come, and reported. A sensitive one is sealed before it is stored. All or nothing:
    raises Invalid (`attribute_unfit`, why by name in `extra["faults"]`) where one doesn't fit, unless only_fitting.
    correcting: the person or staff set it right, which holds also while their data is restricted.
    Raises NotFound, Conflict for who was erased or restricted, MasterKeyMissing.
    """
    with transaction.atomic():
        shapes = shapes_read(values, locked=True)
        fitting, faults = attributes_fit(values, shapes)
        if faults and not only_fitting:
            words = "; ".join(f"{name}: {reason}" for name, reason in faults.items())
            raise Invalid("attribute_unfit", f"Not saved: {words}", {"faults": faults})
        profile = Profile.objects.select_for_update(no_key=True).filter(pk=profile_id).first()
        if profile is None:
            raise NotFound("profile_unknown", "There is no such profile")
        if profile.erased_at is not None:
            raise Conflict("profile_erased", "This person was erased: nothing is known of them any more")
        if profile.restricted_at is not None and not correcting:
            raise Conflict("profile_restricted", "Their data is restricted: it is kept as it is")
        before = values_read(profile_ids=[profile_id], names=list(fitting))[profile_id]
        changed = {
            name: value
            for name, value in fitting.items()
            if value != before[name] or isinstance(value, bool) is not isinstance(before[name], bool)
        }
        attributes_write({profile_id: changed}, shapes)
        attributes_seen(list(changed), source=source)
    return sorted(changed)


def attributes_write(changes: Mapping[int, Mapping[str, Any]], shapes: Mapping[str, AttributeShape]) -> None:
    """Write values that were read by their kind, in the caller's transaction, which locked shapes and profiles.

    changes: by profile id and name; None empties. Raises MasterKeyMissing.
    """
    put: list[tuple[int, str, str]] = []
    sealing: list[tuple[int, AttributeShape, Any]] = []
    dropping: list[tuple[int, int]] = []
    for profile_id, values in changes.items():
        clear, gone = {}, []
        for name, value in values.items():
            shape = shapes.get(name)
            if shape is not None and shape.sensitive:
                gone.append(name)  # what is still clear, while values are being sealed
                if value is None:
                    dropping.append((profile_id, shape.id))
                else:
                    sealing.append((profile_id, shape, value))
            elif value is None:
                gone.append(name)
            else:
                clear[name] = value
        if values:
            put.append((profile_id, json.dumps(clear, ensure_ascii=False), json.dumps(gone, ensure_ascii=False)))
    with connection.cursor() as cursor:
        if put:
            cursor.execute(_CLEAR_WRITE, [[row[number] for row in put] for number in range(3)])
        if dropping:
            cursor.execute(_SEALED_DROP, [[row[number] for row in dropping] for number in range(2)])
    sealed_write(sealing)


def sealed_write(rows: Sequence[tuple[int, AttributeShape, Any]], *, equal_too: bool = True) -> set[int]:
    """Seal values, each with its person's key, and store them, in the caller's transaction. Who was erased is left out.

    equal_too: also where the digest says that it is the value already. Returns the ids of whom something was stored.
    Raises MasterKeyMissing.
    """
    if not rows:
        return set()
    vault = vault_make(row[0] for row in rows)
    stored = [
        (profile_id, shape.id, *value_seal(vault, profile_id, shape, value))
        for profile_id, shape, value in rows
        if profile_id in vault
    ]
    with connection.cursor() as cursor:
        cursor.execute(_SEALED_WRITE, [*([row[number] for row in stored] for number in range(4)), equal_too])
        changed = {row[0] for row in cursor.fetchall()}
        if moving := sorted({shape.name for _, shape, _ in rows if shape.moving}):
            cursor.execute(_CLEAR_DROP, [moving, sorted({row[0] for row in rows})])
    return changed


def value_seal(vault: Vault, profile_id: int, shape: AttributeShape, value: Any) -> tuple[bytes, bytes]:
    """A value sealed with its person's key, and its newest digest. Raises Erased, MasterKeyMissing."""
    sealed = vault.seal(profile_id, place_of(shape.id), json.dumps(value, ensure_ascii=False).encode())
    return sealed, next(chain(digests_of(shape.name, value)), b"")


def attributes_seen(names: Sequence[str], *, source: str) -> None:
    """Note that attributes of these names came in. Once an hour for each: many writers would wait for one row."""
    at = now()
    lately = AttributeSeen.objects.filter(name__in=names, last_at__gt=at - _SEEN_EVERY)
    rows = sorted(set(names) - set(lately.values_list("name", flat=True)))
    if rows:
        AttributeSeen.objects.bulk_create(
            [AttributeSeen(name=name, first_at=at, last_at=at, source=source[:60]) for name in rows],
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=["last_at", "source"],
        )


# --- a new lookup key ---


def attribute_digests_old(after: int, limit: int) -> list[tuple[int, int, int, str, bytes, bytes]]:
    """The next values, by id, whose digest is of another version than the newest: id, profile, definition, its name,
    digest, sealed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT value.id, value.profile_id, definition.id, definition.name, value.digest, value.sealed"  # noqa: S608
            " FROM profiles_sealedattribute AS value"
            " JOIN profiles_attributedefinition AS definition ON definition.id = value.definition_id"
            f" WHERE value.id > %s AND length(value.digest) >= 32 AND {DIGEST_VERSION.format('value.digest')} <> %s"
            " ORDER BY value.id LIMIT %s",
            [after, lookup_newest(), limit],
        )
        return [(*row[:4], bytes(row[4]), bytes(row[5])) for row in cursor.fetchall()]


def attributes_redigest(rows: Sequence[tuple[int, int, int, str, bytes, bytes]]) -> int:
    """Digest these values of `attribute_digests_old` with the newest lookup key, in the caller's transaction.

    What does not open stays as it is. Returns how many were digested anew. Raises MasterKeyMissing.
    """
    vault, anew = vault_open(row[1] for row in rows), []
    for pk, profile_id, definition_id, name, digest, sealed in rows:
        value = value_open(vault, profile_id, HeldSealed(definition_id, digest, sealed))
        if newer := digests_of(name, value):
            anew.append((pk, digest, newer[0]))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE profiles_sealedattribute AS value SET digest = new.digest"
            " FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[]) AS new(id, was, digest)"
            " WHERE value.id = new.id AND value.digest = new.was",
            [[row[number] for row in anew] for number in range(3)],
        )
        return int(cursor.rowcount)
