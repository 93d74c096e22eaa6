"""Whose events these are: the one place where what senders call people and devices becomes profiles.

Simple rules, exact identifiers only. A customer number (scoped by whose numbers the source sends) is one profile, and
makes one where there is none. A device or cookie (`Visitor`, by a keyed digest) is whose person was first identified on
it; once a second one is, it is nobody's. `alias` gives a known number a second one. Two profiles are never merged here:
that both are one person is put down for `profiles.candidates`.
Set-wise: a handful of statements for a batch, whatever its size. In the caller's transaction.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from django.db import connection

from apps.data.profiles.addresses import NewIdentifier, identifier_put, identifiers_add
from apps.data.profiles.attribute_values import value_read
from apps.data.profiles.attributes import attributes_seen, sealed_write, shapes_read
from apps.data.profiles.candidates import Pair, candidates_put
from apps.data.profiles.contracts import AttributeShape
from apps.data.profiles.errors import Erased
from apps.data.profiles.models import Identifier, Profile
from apps.data.profiles.normalize import (
    country_code,
    email_normalize,
    external_id_normalize,
    language_tag,
    phone_normalize,
    text_clean,
    time_zone_name,
)
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid
from apps.foundation.core.signing import address_digest, address_digests

from .contracts import Entry
from .reading import PERSONAL_TRAITS, Arrival, id_text

_MAKING: Final = 7305
"""Advisory lock of those who make profiles for numbers that nobody has."""
_NUMBER: Final = "external_id"
_DEVICE: Final = "device"
_PROFILE: Final = "profile"
_ADDRESSES: Final = {"email": email_normalize, "phone": phone_normalize}
_ATTRIBUTES_MOST: Final = 100
_TEXT_MOST: Final = 500

_HELD: Final = """
SELECT digest, profile_id FROM profiles_identifier WHERE kind = 'external_id' AND digest = ANY(%s)
"""
_VISITORS: Final = "SELECT digest, profile_id FROM events_visitor WHERE digest = ANY(%s) FOR UPDATE"
_VISITORS_PUT: Final = """
INSERT INTO events_visitor (digest, profile_id, since)
SELECT * FROM unnest(%s::bytea[], %s::bigint[], %s::timestamptz[])
ORDER BY 1
ON CONFLICT (digest) DO UPDATE SET profile_id = CASE WHEN events_visitor.profile_id = excluded.profile_id
                                                     THEN excluded.profile_id END
"""
_PROFILES_MAKE: Final = """
INSERT INTO profiles_profile (first_name, last_name, country, language, time_zone, attributes, source, created_at,
    updated_at)
SELECT '', '', '', '', '', '{}', told.source, told.at, told.at FROM unnest(%s::text[], %s::timestamptz[])
    AS told(source, at)
RETURNING id
"""


def number_of(numbers: str, user: str) -> str | None:
    """A customer number as identifiers hold it; None for what can't be one. One that names its shop stays as it is."""
    try:
        bare = external_id_normalize(user)
        return bare if bare.startswith(f"{numbers}:") else external_id_normalize(f"{numbers}:{bare}")
    except Invalid:
        return None


def device_digest(numbers: str, device: str) -> bytes:
    """By what a device or cookie is known."""
    return address_digest(_DEVICE, f"{numbers}:{device}")


def digests_of(raw: Any, entry: Entry) -> list[bytes]:
    """Keyed digests of all whom something sent may be about: what erasing somebody looks for.

    raw: as it was sent, whether or not it can be read as an event: every spelling of an id counts.
    """
    if not isinstance(raw, dict):
        return []
    found: list[bytes] = []
    numbers, known = entry.source.numbers, raw.get("profile_id")
    if entry.shape == "own" and isinstance(known, int) and not isinstance(known, bool):
        found.append(address_digest(_PROFILE, str(known)))
    users, devices = (_texts(raw, names) for names in (_USERS, _DEVICES))
    for user in users:
        if number := number_of(numbers, user):
            found.append(address_digest(_NUMBER, number))
    found += [device_digest(numbers, device) for device in devices]
    traits = raw.get("traits")
    if isinstance(traits, dict):
        found += [address_digest(kind, value) for kind, value in _addresses(traits)]
    return list(dict.fromkeys(found))


_PREVIOUS: Final = ("previousId", "previous_id")
_USERS: Final = ("userId", "user_id", *_PREVIOUS)
_DEVICES: Final = ("anonymousId", "anonymous_id", *_PREVIOUS)


def _texts(raw: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    return [text for name in names if (text := id_text(raw.get(name)))]


def _addresses(traits: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The addresses among traits, normalized: kind and value."""
    found = []
    for kind, normalize in _ADDRESSES.items():
        given = traits.get(kind)
        if isinstance(given, str):
            try:
                found.append((kind, normalize(given)))
            except Invalid:
                continue
    return found


def digests_of_person(profile_id: int, identifiers: Iterable[tuple[str, str]], devices: Iterable[bytes]) -> list[bytes]:
    """The same of somebody: of their profile, their identifiers (kind, value), and the digests of their devices."""
    found = [digest for kind, value in identifiers for digest in address_digests(kind, value)]
    return [*address_digests(_PROFILE, str(profile_id)), *found, *devices]


class People:
    """Who is behind the arrivals of a batch. `resolve` says whose each is; `known` what devices came to be whose."""

    def __init__(self, arrivals: Sequence[Arrival]) -> None:
        self._arrivals = arrivals
        self._spelled: dict[tuple[str, str], str | None] = {}
        self._digested: dict[tuple[str, str], bytes] = {}
        self._by_number: dict[str, int] = {}
        self._devices: dict[bytes, int | None] = {}
        self._met: set[bytes] = set()
        self.joined: dict[bytes, int] = {}
        """Devices that became somebody's in this batch: their earlier events are that person's."""

    def resolve(self) -> list[int | None]:
        """The profile of each arrival, None for nobody known."""
        wanted = {number for one in self._arrivals for number in self._numbers(one)}
        self._by_number = _holders(wanted)
        second = self._alias()
        self._make(second)
        self._alias_write(second)
        self._devices = _owners({digest for one in self._arrivals for digest in self._digests(one)})
        self._met = set(self._devices)
        before = dict(self._devices)
        named = [self._named(one) for one in self._arrivals]
        for one, person in zip(self._arrivals, named, strict=True):
            if person is not None:
                self._meet(one, person)
        self._devices_write(before)
        return [
            person
            if person is not None
            else self._devices.get(self.device_digest(one, one.device))
            if one.device
            else None
            for one, person in zip(self._arrivals, named, strict=True)
        ]

    def device_digest(self, arrival: Arrival, device: str) -> bytes:
        """The function of this name, once for each device of a batch."""
        key = arrival.entry.source.numbers, device
        found = self._digested.get(key)
        if found is None:
            found = self._digested[key] = device_digest(*key)
        return found

    def _number_of(self, arrival: Arrival, user: str) -> str | None:
        """`number_of`, once for each number of a batch."""
        key = arrival.entry.source.numbers, user
        if key not in self._spelled:
            self._spelled[key] = number_of(*key)
        return self._spelled[key]

    def _numbers(self, arrival: Arrival) -> list[str]:
        given = (arrival.user, arrival.previous)
        return [number for user in given if user and (number := self._number_of(arrival, user))]

    def _digests(self, arrival: Arrival) -> list[bytes]:
        return [self.device_digest(arrival, one) for one in (arrival.device, arrival.previous) if one]

    def _named(self, arrival: Arrival) -> int | None:
        if arrival.profile_id is not None:
            return arrival.profile_id
        number = self._number_of(arrival, arrival.user) if arrival.user else None
        return self._by_number.get(number) if number else None

    def _alias(self) -> dict[str, tuple[str, Arrival]]:
        """Numbers that nobody has and that become the second one of somebody's: of a number that is held, or that this
        batch names too, in whatever order."""
        second: dict[str, tuple[str, Arrival]] = {}
        aliases = [one for one in self._arrivals if one.kind == "alias" and one.previous and one.user]
        if not aliases:
            return second
        naming = [one for one in self._arrivals if one.kind != "alias" and one.profile_id is None]
        named = {number for one in naming for number in self._numbers(one)}
        for one in aliases:
            number, first = self._number_of(one, one.user), self._number_of(one, one.previous)
            while first in second:
                first = second[first][0]
            if number is None or first is None or number == first:
                continue
            if number in self._by_number or number in second:
                there, holder = self._by_number.get(number), self._by_number.get(first)
                if there is not None and holder is not None and there != holder:
                    _one_person(one, there, holder)
                elif there is None and second[number][0] != first:
                    one.fault("it is somebody else's second id already")
            elif first in self._by_number or first in named:
                second[number] = first, one
        return second

    def _alias_write(self, second: Mapping[str, tuple[str, Arrival]]) -> None:
        for number, (first, one) in second.items():
            while first in second:
                first = second[first][0]
            holder, trusted = self._by_number[first], _NUMBER in one.source.trusted
            try:
                identifier_put(profile_id=holder, kind=_NUMBER, value=number, verified=trusted, source=one.source.name)
            except Erased:
                continue
            self._by_number[number] = holder

    def _make(self, second: Collection[str]) -> None:
        """Profiles for the numbers that nobody has, and that are nobody's second one."""
        missing = {number: one for number, one in self._missing().items() if number not in second}
        if not missing:
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [_MAKING])
            self._by_number |= _holders(missing)  # another consumer may have made some just now
            missing = {number: one for number, one in missing.items() if number not in self._by_number}
            at = now()
            sources = [one.source.name for one in missing.values()]
            cursor.execute(_PROFILES_MAKE, [sources, [at] * len(sources)])
            made = sorted(row[0] for row in cursor.fetchall())
        self._by_number |= dict(zip(missing, made, strict=True))
        identifiers_add(
            NewIdentifier(
                profile_id=self._by_number[number], kind=_NUMBER, value=number, verified=_NUMBER in one.source.trusted,
                source=one.source.name, created_at=at,
            )
            for number, one in missing.items()
        )  # fmt: skip

    def _missing(self) -> dict[str, Arrival]:
        found: dict[str, Arrival] = {}
        for one in self._arrivals:
            number = self._number_of(one, one.user) if one.user and one.profile_id is None else None
            if number is not None and number not in self._by_number:
                found.setdefault(number, one)
        return found

    def _meet(self, arrival: Arrival, person: int) -> None:
        """Somebody was identified on a device, or says that an earlier id was theirs."""
        met = [arrival.device]
        previous = self._number_of(arrival, arrival.previous) if arrival.previous else None
        if previous not in self._by_number:
            met.append(arrival.previous)
        for device in met:
            if not device:
                continue
            digest = self.device_digest(arrival, device)
            if digest not in self._met:
                self._met.add(digest)
                self._devices[digest] = self.joined[digest] = person
            elif self._devices[digest] != person:
                self._devices[digest] = None  # shared: nobody's from now on

    def _devices_write(self, before: Mapping[bytes, int | None]) -> None:
        changed = [
            (digest, owner)
            for digest, owner in self._devices.items()
            if digest not in before or before[digest] != owner
        ]
        if not changed:
            return
        with connection.cursor() as cursor:
            digests, owners = [one[0] for one in changed], [one[1] for one in changed]
            cursor.execute(_VISITORS_PUT, [digests, owners, [now()] * len(changed)])


def _one_person(arrival: Arrival, one: int, other: int) -> None:
    """Put down that a client says of two people that they are one; `profiles.candidates` sees to it."""
    trusted = _NUMBER in arrival.source.trusted
    words = f"{arrival.source.name} says that both numbers are one person's"
    candidates_put([Pair(one, other, "alias", sure=trusted, reasons=[(words, 0.0)])])
    if not trusted:
        arrival.fault("both ids are of known people: they wait for somebody to look")


def _holders(numbers: Iterable[str]) -> dict[str, int]:
    """Whose the numbers are."""
    by_digest = {digest: number for number in numbers for digest in address_digests(_NUMBER, number)}
    if not by_digest:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_HELD, [list(by_digest)])
        return {by_digest[bytes(digest)]: profile_id for digest, profile_id in cursor.fetchall()}


def _owners(digests: set[bytes]) -> dict[bytes, int | None]:
    """Whose the devices are; None for those that are nobody's."""
    if not digests:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_VISITORS, [sorted(digests)])
        return {bytes(digest): profile_id for digest, profile_id in cursor.fetchall()}


# --- what `identify` tells ---

_FIELDS: Final = {
    "firstName": "first_name", "first_name": "first_name", "lastName": "last_name", "last_name": "last_name",
    "country": "country", "language": "language", "locale": "language", "timezone": "time_zone",
    "time_zone": "time_zone",
}  # fmt: skip


def traits_write(told: Sequence[tuple[Arrival, int]]) -> None:
    """Let what `identify` tells enter the profiles; the later word counts. Who is restricted or erased stays as is.

    An address counts as verified only where its source is trusted for that. A trait that is defined as an attribute is
    read by its type, and sealed where it is sensitive; what does not fit is a fault of the event. Of the personal ones
    only those enter that are defined.
    """
    traits = {trait for arrival, _ in told for trait in arrival.traits}
    shapes = shapes_read(traits.difference(_FIELDS, _ADDRESSES), locked=True)
    sealing: dict[tuple[int, str], Any] = {}
    people = {
        one.pk: one
        for one in Profile.objects.filter(pk__in={person for _, person in told}, restricted_at=None, erased_at=None)
        .select_for_update(no_key=True)
        .order_by("pk")
    }
    held = _addresses_held(people)
    changed: set[int] = set()
    for arrival, person in told:
        profile = people.get(person)
        if profile is None:
            continue
        if _profile_fill(profile, arrival, shapes, sealing):
            changed.add(person)
        _addresses_put(arrival, person, held)
    sealed = [(person, shapes[name], value) for (person, name), value in sealing.items()]
    changed |= sealed_write(sealed, equal_too=False)
    seen: dict[str, set[str]] = {}
    for arrival, _ in told:
        plain = {name for name, value in arrival.traits.items() if name not in PERSONAL_TRAITS and _is_plain(value)}
        kept = (plain | (arrival.traits.keys() & shapes.keys())).difference(_FIELDS)
        seen.setdefault(arrival.source.name, set()).update(kept)
    for source, names in sorted(seen.items()):
        attributes_seen(sorted(names), source=source)
    at = now()
    for person in sorted(changed):
        people[person].updated_at = at
    Profile.objects.bulk_update(
        [people[person] for person in sorted(changed)],
        ["first_name", "last_name", "country", "language", "time_zone", "attributes", "updated_at"],
    )


def _addresses_held(people: Iterable[int]) -> set[tuple[int, bytes, bool]]:
    rows = Identifier.objects.filter(profile_id__in=list(people), kind__in=("email", "phone"))
    return {(row[0], bytes(row[1]), row[2]) for row in rows.values_list("profile_id", "digest", "verified")}


def _addresses_put(arrival: Arrival, person: int, held: set[tuple[int, bytes, bool]]) -> None:
    for kind, normalize in _ADDRESSES.items():
        given = arrival.traits.get(kind)
        if not isinstance(given, str) or not given.strip():
            continue
        try:
            value = normalize(given)
        except Invalid:
            arrival.fault(f"its {kind} is none")
            continue
        digest, verified = address_digest(kind, value), kind in arrival.source.trusted
        if {(person, digest, True), (person, digest, verified)} & held:
            continue
        try:
            identifier_put(profile_id=person, kind=kind, value=value, verified=verified, source=arrival.source.name)
        except Erased:
            continue
        held.add((person, digest, verified))


def _profile_fill(
    profile: Profile, arrival: Arrival, shapes: Mapping[str, AttributeShape], sealing: dict[tuple[int, str], Any]
) -> bool:
    """Write what is told into a profile, sensitive attributes into `sealing`; whether that changed the profile."""
    changed = False
    told, address = dict(arrival.traits), arrival.traits.get("address")
    if isinstance(address, dict) and "country" not in told:
        told["country"] = address.get("country")
    attributes = dict(profile.attributes)
    for trait, value in told.items():
        name = _FIELDS.get(trait)
        if name is not None:
            text = _field_text(name, value)
            if text and getattr(profile, name) != text:
                setattr(profile, name, text)
                changed = True
        elif (shape := shapes.get(trait)) is not None:
            try:
                read = value_read(shape, value)
            except ValueError as error:
                arrival.fault(f"its {trait} {error}")
                continue
            if read is not None and shape.sensitive:
                sealing[profile.pk, trait] = read
                attributes.pop(trait, None)
            elif read is not None:
                attributes[trait] = read
        elif (
            trait not in PERSONAL_TRAITS
            and _is_plain(value)
            and (trait in attributes or len(attributes) < _ATTRIBUTES_MOST)
        ):
            attributes[trait[:60]] = value
    if attributes != profile.attributes:
        profile.attributes = attributes
        changed = True
    return changed


_CLEAN: Final = {"country": country_code, "language": language_tag, "time_zone": time_zone_name}


def _field_text(name: str, value: Any) -> str:
    """A value for a field of the profile, "" where it can't be one."""
    return _CLEAN.get(name, text_clean)(value)[:120] if isinstance(value, str) else ""


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _TEXT_MOST and "\0" not in value
    return isinstance(value, int | float | bool)
