"""From the fields of a record to the person it tells of, as rows for COPY. Pure, and the hottest there is: each call
that a line saves is a second of a file of millions.

Identifiers and sensitive attributes leave here sealed (`Sealer`). A person is a row for staging, or in a large file
(`Newcomers`) rows of each table where somebody new is written down.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingABC
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, Protocol

from apps.data.profiles.addresses import COLUMNS
from apps.data.profiles.attribute_values import reader_of
from apps.data.profiles.contracts import AttributeShape
from apps.data.profiles.normalize import (
    country_code,
    email_normalize,
    external_id_normalize,
    language_tag,
    phone_normalize,
    text_clean,
    time_zone_name,
)
from apps.data.profiles.vault import FIRST_VERSION, KEY_COLUMNS
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid
from apps.foundation.core.postgres import copy_value
from apps.foundation.core.signing import address_digester
from apps.foundation.core.text import is_blank

from .faults import Fault
from .mapping import PERSON_FIELDS, Binding, Mapping
from .values import consent_read, time_read

NAME_LIMIT = 120

PERSON_COLUMNS = (
    "import_id", "line", "key", "profile_id", "external_id", "external_digest", "email", "email_digest", "email_made",
    "phone", "phone_digest", "first_name", "last_name", "country", "language", "time_zone", "attributes", "sensitive",
    "agreed", "declined", "agreed_at", "seen_at",
)  # fmt: skip
NEW_TABLES = {
    "profiles_profile": (
        "id", "first_name", "last_name", "country", "language", "time_zone", "attributes", "source", "created_at",
        "updated_at",
    ),
    "profiles_profilekey": KEY_COLUMNS,
    "profiles_identifier": COLUMNS,
    "imports_stagedperson": ("profile_id", "import_id", "line", "agreed", "declined", "agreed_at"),
}  # fmt: skip
"""Where people are written down who are new, and what: each row begins with the number of their profile."""
MAIN = {"external_id": "f", "email": "t", "phone": "t"}
"""Kinds of identifiers that a line may have, and whether the first of its kind becomes the main one."""
SENSITIVE = b"sensitive"
"""Goes before a person's key where their sensitive attributes are sealed."""
_NONE = "\\N"
Shapes = MappingABC[str, AttributeShape]
Said = tuple[str, str, str]
"""An identifier: kind, digest in hex, value."""


class PeopleSealer(Protocol):
    """What seals the people of one chunk (`sealing.PeopleSealer`)."""

    master: str
    """The id of the master key that wraps keys."""

    def sealed(self, drawn: int, said: Sequence[Said]) -> tuple[bytes, list[bytes]]:
        """The data key of whom the number of a profile was drawn for, and their identifiers as they may be stored."""

    def wrapped(self, drawn: int, key: bytes) -> bytes:
        """Their data key as it may be stored."""


class Sealer(Protocol):
    """What seals (`sealing.StagingKey`)."""

    def seal(self, digest: bytes, value: str) -> bytes:
        """A value of a line, bound to a digest."""

    def people_sealer(self, most: int) -> PeopleSealer:
        """What seals the people of one chunk, of so many records."""


class Newcomers:
    """People of a chunk as they are written down if they are new.

    rows: for each of NEW_TABLES; told: for each kind of identifier the numbers of profiles, and digests as COPY takes
    them.
    """

    def __init__(self) -> None:
        self.rows: tuple[list[str], list[str], list[str], list[str]] = ([], [], [], [])
        self.told: dict[str, tuple[list[str], list[str]]] = {kind: ([], []) for kind in MAIN}

    def twice(self) -> list[int]:
        """Numbers of those of whom another line of the chunk may tell too: it has one of their identifiers."""
        found: set[int] = set()
        for numbers, digests in self.told.values():
            if len(set(digests)) < len(digests):
                first: dict[str, str] = {}
                for number, digest in zip(numbers, digests, strict=True):
                    if (other := first.setdefault(digest, number)) != number:
                        found |= {int(number), int(other)}
        return sorted(found)


def fields_getter(places: Sequence[int]) -> Callable[[Sequence[str]], tuple[str, ...]]:
    """What takes the fields of these places."""
    if not places:
        return lambda fields: ()
    if len(places) == 1:
        place = places[0]
        return lambda fields: (fields[place],)
    return itemgetter(*places)


class PersonReader:
    """Reads the person of a record."""

    def __init__(self, mapping: Mapping, binding: Binding, import_id: int, sealer: Sealer, shapes: Shapes) -> None:
        self._mapping = mapping
        self._binding = binding
        self._import_id = import_id
        self._sealer = sealer
        self._numbers: Iterator[int] = iter(())
        self._newcomers: Newcomers | None = None
        used = {name: binding.fields.get(name, ()) for name in PERSON_FIELDS}
        self._external, self._email, self._phone = used["external_id"], used["email"], used["phone"]
        self._first, self._last, self._full = used["first_name"], used["last_name"], used["full_name"]
        self._country, self._language, self._zone = used["country"], used["language"], used["time_zone"]
        self._agreed_at = used["consent_at"]
        self._digesters = {kind: address_digester(kind) for kind in MAIN}
        consent_places = {place for place, _ in binding.consent.values()}
        self._consent_of = fields_getter(sorted(consent_places.union(self._agreed_at)))
        self.places = sorted(
            {place for places in used.values() for place in places} | set(binding.attributes.values()) | consent_places
        )
        self._told_of = fields_getter(self.places)
        self.defined(shapes)

    def defined(self, shapes: Shapes) -> None:
        """Read attributes by these definitions from now on."""
        self._known: dict[tuple[str, ...], tuple[bytes, str, list[Fault]]] = {}
        self._consents: dict[tuple[str, ...], tuple[str, list[Fault]]] = {}
        self._sensitive = any(shape.sensitive for shape in shapes.values())
        self._attribute_readers = [
            (name, place, shapes.get(name), reader_of(
                shapes.get(name), date_format=self._mapping.date_format, time_zone=self._mapping.time_zone,
                decimal=self._mapping.decimal,
            ))
            for name, place in self._binding.attributes.items()
        ]  # fmt: skip

    def chunk(self, numbers: Iterator[int], most: int) -> None:
        """Read a chunk of so many records from now on. numbers: of profiles, for people who should be new: one for each
        record at most."""
        self._numbers = numbers
        self._people = self._sealer.people_sealer(most)

    def newcomers(self, wanted: bool) -> Newcomers | None:
        """From now on, write people down as new ones, if wanted, and make no rows for staging (`newcomers.staged_of`
        makes them of these). None with sensitive attributes: the merge seals those."""
        self._newcomers = Newcomers() if wanted and not self._sensitive else None
        if self._newcomers is not None:
            at, source = now().isoformat(), self._mapping.source
            self._profile_end = f"\t{source}\t{at}\t{at}\n"
            self._identifier_end = f"\t{source}\t{at}\n"
            self._key_end = f"\t{at}\n"
        return self._newcomers

    def read(
        self, fields: Sequence[str], line: int, seen_at: datetime | None, faults: list[Fault]
    ) -> tuple[bytes, str] | None:
        """Key and staging row of the person; None when nothing tells who it is. Among newcomers the row is empty."""
        if self._newcomers is not None:
            key, _, found = self._read(fields, line)
            faults += found
            return (key, "") if key else None
        told = self._told_of(fields)
        try:
            person = self._known[told]
        except KeyError:
            person = self._read(fields, line)
            if len(self._known) > 5_000:  # people come again and again, but memory stays flat
                self._known.clear()
            if sum(map(len, told)) < 1000:
                self._known[told] = person
        key, row, found = person
        faults += found
        if not key:
            return None
        return key, f"{self._import_id}\t{line}\t{row}\t{copy_value(seen_at)}\n"

    def _read(self, fields: Sequence[str], line: int) -> tuple[bytes, str, list[Fault]]:
        faults: list[Fault] = []
        country = country_code(_word(fields, self._country)) if self._country else ""
        said, made = self._identifiers(fields, country, faults)
        if not said:
            return b"", "", faults
        first, last = self._name(fields, self._first, faults), self._name(fields, self._last, faults)
        if self._full and not (first or last):
            first, _, last = self._name(fields, self._full, faults).partition(" ")
        attributes, sensitive = self._attributes(fields, faults) if self._attribute_readers else ("{}", None)
        language = _written(language_tag(_word(fields, self._language))) if self._language else ""
        zone = time_zone_name(_word(fields, self._zone)) if self._zone else ""
        about = f"{_written(first)}\t{_written(last)}\t{country}\t{language}\t{zone}\t{attributes}"
        consents = self._consents_of(fields, faults) if self._binding.consent else "{}\t{}\t\\N"
        drawn = next(self._numbers)
        data_key, sealed = self._people.sealed(drawn, said)
        key = said[0][1]
        if self._newcomers is not None:
            self._arrive(self._newcomers, drawn, line, said, data_key, sealed, about, consents)
            return bytes.fromhex(key), "", faults
        known = {
            kind: f"\\\\x{stored.hex()}\t\\\\x{digest}" for (kind, digest, _), stored in zip(said, sealed, strict=True)
        }
        hidden = _NONE
        if sensitive is not None:
            hidden = f"\\\\x{self._sealer.seal(SENSITIVE + bytes.fromhex(key), sensitive).hex()}"
        return bytes.fromhex(key), staged_row(key, drawn, known, made, about, hidden, consents), faults

    def _identifiers(self, fields: Sequence[str], country: str, faults: list[Fault]) -> tuple[list[Said], bool]:
        """By what the record knows its person, and whether the address was made of the number."""
        said: list[Said] = []
        number = email = ""
        made = False
        if text := _text(fields, self._external):
            try:
                number = _external_id(text)
                value = f"{self._mapping.source}:{number}"
                said.append(("external_id", self._digesters["external_id"](value).hex(), value))
            except Invalid as error:
                faults.append(Fault(self._header(self._external), error.message))
        if text := _text(fields, self._email):
            try:
                email = email_normalize(text)
            except Invalid as error:
                faults.append(Fault(self._header(self._email), error.message))
        if number and not email and self._mapping.address_template:
            try:
                email = email_normalize(self._mapping.address_template.replace("{id}", number))
                made = True
            except Invalid as error:
                faults.append(Fault(self._header(self._external), f"gives no address: {error.message}"))
        if email:
            said.append(("email", self._digesters["email"](email).hex(), email))
        if text := _text(fields, self._phone):
            try:
                phone = phone_normalize(text.lstrip("'"), country)
                said.append(("phone", self._digesters["phone"](phone).hex(), phone))
            except Invalid as error:
                faults.append(Fault(self._header(self._phone), error.message))
        return said, made

    def _header(self, places: Sequence[int]) -> str:
        return self._binding.header[places[0]]

    def _name(self, fields: Sequence[str], places: Sequence[int], faults: list[Fault]) -> str:
        for place in places:
            text = _name_read(fields[place])
            if text is None:
                faults.append(Fault(self._header(places), f"longer than {NAME_LIMIT} characters"))
                return ""
            if text:
                return text
        return ""

    def _arrive(
        self,
        newcomers: Newcomers,
        drawn: int,
        line: int,
        said: Sequence[Said],
        data_key: bytes,
        sealed: Sequence[bytes],
        about: str,
        consents: str,
    ) -> None:
        """Write somebody down as new."""
        profiles, keys, identifiers, staged = newcomers.rows
        profiles.append(f"{drawn}\t{about}{self._profile_end}")
        wrapped = self._people.wrapped(drawn, data_key).hex()
        keys.append(f"{drawn}\t{FIRST_VERSION}\t{self._people.master}\t\\\\x{wrapped}{self._key_end}")
        number = str(drawn)
        for (kind, digest, _), stored in zip(said, sealed, strict=True):
            identifiers.append(
                f"{number}\t{kind}\t\\\\x{stored.hex()}\t\\\\x{digest}\tf\t{MAIN[kind]}{self._identifier_end}"
            )
            numbers, digests = newcomers.told[kind]
            numbers.append(number)
            digests.append(f"\\\\x{digest}")
        staged.append(f"{number}\t{self._import_id}\t{line}\t{consents}\n")

    def _attributes(self, fields: Sequence[str], faults: list[Fault]) -> tuple[str, str | None]:
        """What may be stored in clear, as COPY takes it, and the sensitive ones as JSON, None without any."""
        clear: dict[str, Any] = {}
        sensitive: dict[str, Any] = {}
        for name, place, shape, read in self._attribute_readers:
            try:
                value = read(fields[place])
                if value is not None:
                    (sensitive if shape is not None and shape.sensitive else clear)[name] = value
                elif shape is not None and shape.required:
                    faults.append(Fault(self._binding.header[place], "is required, and empty"))
            except ValueError as error:
                faults.append(Fault(self._binding.header[place], str(error)))
        return copy_value(clear), json.dumps(sensitive, ensure_ascii=False) if sensitive else None

    def _consents_of(self, fields: Sequence[str], faults: list[Fault]) -> str:
        """Purposes agreed to and declined (as arrays of PostgreSQL: codes are slugs), and when, as COPY takes them.
        Many people say the same."""
        told = self._consent_of(fields)
        try:
            consents, found = self._consents[told]
        except KeyError:
            consents, found = self._consent(fields)
            if len(self._consents) > 5_000:
                self._consents.clear()
            if sum(map(len, told)) < 200:
                self._consents[told] = consents, found
        faults += found
        return consents

    def _consent(self, fields: Sequence[str]) -> tuple[str, list[Fault]]:
        faults: list[Fault] = []
        agreed: list[str] = []
        declined: list[str] = []
        at: datetime | None = None
        for purpose, (place, is_time) in self._binding.consent.items():
            try:
                if is_time:
                    if fields[place].strip():
                        at = time_read(fields[place], self._mapping.date_format, self._mapping.time_zone)
                        agreed.append(purpose)
                elif (word := consent_read(fields[place])) is not None:
                    (agreed if word else declined).append(purpose)
            except ValueError as error:
                faults.append(Fault(self._binding.header[place], str(error)))
        if at is None and agreed and (text := _text(fields, self._agreed_at)):
            try:
                at = time_read(text, self._mapping.date_format, self._mapping.time_zone)
            except ValueError as error:
                faults.append(Fault(self._header(self._agreed_at), str(error)))
        return f"{{{','.join(agreed)}}}\t{{{','.join(declined)}}}\t{copy_value(at)}", faults


def staged_row(
    key: str, drawn: int | str, known: MappingABC[str, str], made: bool, about: str, sensitive: str, consents: str
) -> str:
    """A person as a staging row, from `key` on and without the moment they were seen, as COPY takes it.

    key: in hex; known: for each kind of identifier sealed value and digest; about: from the first name to attributes.
    """
    nothing = f"{_NONE}\t{_NONE}"
    return (
        f"\\\\x{key}\t{drawn}\t{known.get('external_id', nothing)}\t{known.get('email', nothing)}"
        f"\t{'t' if made else 'f'}\t{known.get('phone', nothing)}\t{about}\t{sensitive}\t{consents}"
    )


def _text(fields: Sequence[str], places: Iterable[int]) -> str:
    """The first that is filled."""
    for place in places:
        text = fields[place].strip()
        if text and not is_blank(text):  # «nan» is what a missing number looks like once it was printed
            return text
    return ""


def _word(fields: Sequence[str], places: Iterable[int]) -> str:
    """The same of what many people have alike."""
    return next((text for place in places if (text := _filled(fields[place]))), "")


@lru_cache(maxsize=1_000)
def _filled(field: str) -> str:
    return _text((field,), (0,))


@lru_cache(maxsize=10_000)
def _name_read(field: str) -> str | None:
    """A name as it is stored; "" for none, None for one that is too long. Many people have the same."""
    text = text_clean(field)
    return text if len(text) <= NAME_LIMIT else None


_written = lru_cache(maxsize=10_000)(copy_value)


def _external_id(text: str) -> str:
    return external_id_normalize(text.lstrip("'"))  # Shopify writes '123 so that spreadsheets keep its digits
