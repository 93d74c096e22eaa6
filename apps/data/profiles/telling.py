"""What another system tells of a person: by which identifiers they are known, and what is known of them.

The first identifier says who is meant: whoever has it, or somebody new. All or nothing, under the lock of that
identifier, so that two at once don't make two people.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction

from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound
from apps.foundation.core.live import live_publish
from apps.foundation.core.signing import address_digest

from .addresses import holders_of, identifier_put
from .attributes import attributes_put
from .models import ONE_PERSONS, Identifier, Profile
from .normalize import (
    country_code,
    email_normalize,
    external_id_normalize,
    language_tag,
    phone_normalize,
    push_normalize,
    text_clean,
    time_zone_name,
)
from .vault import keys_make

_LOCK: Final = 7320  # class of the advisory locks that keep one identifier from beginning two profiles at once
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_READ: Final = {"language": language_tag, "country": country_code, "time_zone": time_zone_name}
PROFILE_FIELDS: Final = ("first_name", "last_name", "country", "language", "time_zone")
_LONGEST: Final = 120
IDENTIFIERS_MOST: Final = 20


@dataclass(frozen=True, slots=True)
class Told:
    """An identifier as it was told. value: as it came, for `identifier_normalize`."""

    kind: str
    value: str
    verified: bool = False


def identifier_normalize(kind: str, value: str) -> str:
    """The value of an identifier as it is kept. A customer number names whose it is: `shop:17850`. Raises Invalid."""
    if kind == Identifier.Kind.EMAIL:
        return email_normalize(value)
    if kind == Identifier.Kind.PHONE:
        return phone_normalize(value)
    if kind == Identifier.Kind.EXTERNAL:
        source, colon, number = value.strip().partition(":")
        if not colon or not source.strip() or not number.strip():
            said = "A customer number says whose it is: write it as shop:17850"
            raise Invalid("external_id_unscoped", said, {"field": "value"})
        return external_id_normalize(value)
    if kind == Identifier.Kind.PUSH:
        return push_normalize(value)
    if kind in (Identifier.Kind.LOYALTY, Identifier.Kind.DEVICE, Identifier.Kind.COOKIE):
        return external_id_normalize(value)
    raise Invalid("identifier_kind", f"Choose of {', '.join(Identifier.Kind.values)}", {"field": "kind"})


def profile_tell(
    *,
    identifiers: Sequence[Told],
    fields: Mapping[str, str],
    attributes: Mapping[str, Any],
    source: str,
) -> tuple[int, bool]:
    """Have the person with the first identifier be known by all of these, and this be known of them; what is not named
    stays. Returns the profile's id, and whether it is new.

    Raises Invalid; Conflict where several people have the first identifier, or another one has a further one that is
    one person's alone, or the person's data is restricted.
    """
    if not 1 <= len(identifiers) <= IDENTIFIERS_MOST:
        raise Invalid("identifiers_missing", f"Give 1 to {IDENTIFIERS_MOST} identifiers", {"field": "identifiers"})
    known = [(one, identifier_normalize(one.kind, one.value)) for one in identifiers]
    first, value = known[0]
    with transaction.atomic():
        _lock(first.kind, value)
        holders = holders_of(kind=first.kind, value=value)
        if len(holders) > 1:
            said = "Several people have the first identifier: put one in front that is one person's, or change by id"
            raise Conflict("identifier_ambiguous", said, {"profiles": holders})
        if new := not holders:
            profile_id = Profile.objects.create(source=source[:60]).pk
            keys_make([profile_id])
        else:
            profile_id = holders[0]
        _locked(profile_id)
        for one, normalized in known:
            _identifier(profile_id, one, normalized, source)
        _write(profile_id, fields, attributes, source)
    return profile_id, new


def profile_change(
    *,
    profile_id: int,
    fields: Mapping[str, str],
    attributes: Mapping[str, Any],
    source: str,
    seen: int | None = None,
) -> Profile:
    """Change what is known of a person. seen: the version (`profile_version`) as the caller read it.

    Raises Invalid, NotFound, Conflict for another version and for data that is restricted.
    """
    with transaction.atomic():
        profile = _locked(profile_id)
        if seen is not None and profile_version(profile) != seen:
            raise Conflict("changed_meanwhile", "The profile was changed meanwhile: read it again")
        _write(profile_id, fields, attributes, source)
        return Profile.objects.get(pk=profile_id)


def identifier_add(*, profile_id: int, told: Told, source: str) -> int:
    """Let a person be known by one more identifier. Returns the identifier's id. Raises Invalid, NotFound, Conflict."""
    value = identifier_normalize(told.kind, told.value)
    with transaction.atomic():
        _lock(told.kind, value)
        _locked(profile_id)
        pk = _identifier(profile_id, told, value, source)
        _changed(profile_id, {})
    return pk


def profile_version(profile: Profile) -> int:
    """What differs after each change: the moment of the last one, in microseconds."""
    return (profile.updated_at - _EPOCH) // timedelta(microseconds=1)


def profiles_of(*, kind: str, value: str) -> list[int]:
    """The ids of those who are known by an identifier as it was told. Raises Invalid."""
    return holders_of(kind=kind, value=identifier_normalize(kind, value))


def _lock(kind: str, value: str) -> None:
    number = int.from_bytes(address_digest(kind, value)[-4:], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK, number])


def _locked(profile_id: int) -> Profile:
    profile = Profile.objects.select_for_update(no_key=True).filter(pk=profile_id, erased_at=None).first()
    if profile is None:
        raise NotFound("profile_unknown", "There is no such person")
    if profile.restricted_at is not None:
        raise Conflict("profile_restricted", "Their data is restricted: it is kept as it is")
    return profile


def _identifier(profile_id: int, told: Told, value: str, source: str) -> int:
    if told.kind in ONE_PERSONS and set(holders_of(kind=told.kind, value=value)) - {profile_id}:
        raise Conflict("identifier_taken", "Somebody else has this number", {"field": "identifiers"})
    return identifier_put(
        profile_id=profile_id, kind=told.kind, value=value, verified=told.verified, source=source[:60]
    )


def _write(profile_id: int, fields: Mapping[str, str], attributes: Mapping[str, Any], source: str) -> None:
    wanted = {name: _read(name, value) for name, value in fields.items()}
    profile = Profile.objects.get(pk=profile_id)
    _changed(profile_id, {name: value for name, value in wanted.items() if getattr(profile, name) != value})
    if attributes:
        attributes_put(profile_id=profile_id, values=attributes, source=source)


def _changed(profile_id: int, values: Mapping[str, str]) -> None:
    before = Profile.objects.values_list("updated_at", flat=True).get(pk=profile_id)
    at = max(now(), before + timedelta(microseconds=1))
    Profile.objects.filter(pk=profile_id).update(**values, updated_at=at)
    transaction.on_commit(lambda: live_publish(f"profile-{profile_id}"))


def _read(name: str, value: str) -> str:
    if name not in PROFILE_FIELDS:
        raise Invalid("field_unknown", f"A profile has no {name}", {"field": name})
    text = text_clean(value)
    if len(text) > _LONGEST:
        raise Invalid("value_too_long", f"At most {_LONGEST} characters", {"field": name})
    if not text or name not in _READ:
        return text
    read = _READ[name](text)
    if not read:
        raise Invalid("value_unknown", f"This is no {name.replace('_', ' ')} that we know", {"field": name})
    return read
