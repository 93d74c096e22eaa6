"""From the fields of a record to rows for staging. Pure: no database, so hot that it makes no object for a line.

Identifiers and sensitive attributes leave here sealed (`Sealer`).

A `Fault` with `whole_line` costs the line; any other costs the value only. What many lines share (an order's number,
date and customer) is read once for each run of lines that say the same.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
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
from apps.data.profiles.vault import KEY_COLUMNS
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid
from apps.foundation.core.postgres import copy_value
from apps.foundation.core.signing import address_digest
from apps.foundation.core.text import is_blank

from .mapping import ORDER_FIELDS, PERSON_FIELDS, Binding, Mapping
from .values import LINE_TOTAL_LIMIT, amount_read, consent_read, quantity_read, time_read

NAME_LIMIT = 120
TITLE_LIMIT = 300
NUMBER_LIMIT = 80

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
LINE_COLUMNS = (
    "import_id", "line", "order_number", "key", "placed_at", "cancelled", "country", "currency",
    "sku", "title", "category", "quantity", "unit_price",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a value: its column, and why."""

    column: str
    reason: str
    whole_line: bool = False


class LineLost(Exception):
    """The line can't be used."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


def _getter(places: Sequence[int]) -> Callable[[Sequence[str]], tuple[str, ...]]:
    if not places:
        return lambda fields: ()
    if len(places) == 1:
        place = places[0]
        return lambda fields: (fields[place],)
    return itemgetter(*places)


class Sealer(Protocol):
    """What seals (`sealing.StagingKey`)."""

    def seal(self, digest: bytes, value: str) -> bytes:
        """A value of a line, bound to a digest."""

    def person_sealer(self, drawn: int) -> Callable[[str, bytes, str], bytes]:
        """What seals identifiers for a profile of this number: kind, digest and value to what may be stored."""

    def person_key_row(self, drawn: int, at: str) -> tuple[int, int, str, bytes, str]:
        """What opens them, as a row of KEY_COLUMNS. at: since when, in ISO 8601."""


@dataclass(slots=True)
class Newcomers:
    """People of a chunk as they are written down if they are new.

    rows: for each of NEW_TABLES; told: for each kind of identifier the numbers of profiles, and digests as COPY takes
    them; twice: numbers of those of whom another line of the chunk may tell too.
    """

    rows: tuple[list[str], list[str], list[str], list[str]] = field(default_factory=lambda: ([], [], [], []))
    told: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)
    twice: set[int] = field(default_factory=set)
    _who: dict[str, int] = field(default_factory=dict)

    def add(self, drawn: int, kind: str, digest: str) -> None:
        """Note by what somebody is known."""
        numbers, digests = self.told.setdefault(kind, ([], []))
        numbers.append(str(drawn))
        digests.append(digest)
        if (other := self._who.setdefault(digest, drawn)) != drawn:
            self.twice |= {drawn, other}


_KINDS = (("external_id", "f"), ("email", "t"), ("phone", "t"))
"""Identifiers of a line, and whether the first of its kind becomes the main one."""
Shapes = MappingABC[str, AttributeShape]
SENSITIVE = b"sensitive"
"""Goes before a person's key where their sensitive attributes are sealed."""


class PersonReader:
    """Reads the person of a record."""

    def __init__(self, mapping: Mapping, binding: Binding, import_id: int, sealer: Sealer, shapes: Shapes) -> None:
        self._mapping = mapping
        self._binding = binding
        self._import_id = import_id
        self._sealer = sealer
        self._numbers: Iterator[int] = iter(())
        self._newcomers: Newcomers | None = None
        self._at = ""
        self.defined(shapes)
        self._used = {name: places for name, places in binding.fields.items() if name in PERSON_FIELDS}
        self.places = sorted(
            {place for places in self._used.values() for place in places}
            | set(binding.attributes.values())
            | {place for place, _ in binding.consent.values()}
        )
        self._told_of = _getter(self.places)

    def defined(self, shapes: Shapes) -> None:
        """Read attributes by these definitions from now on."""
        self._known: dict[tuple[str, ...], tuple[bytes, str, list[Fault]]] = {}
        self._sensitive = any(shape.sensitive for shape in shapes.values())
        self._attribute_readers = [
            (name, place, shapes.get(name), reader_of(
                shapes.get(name), date_format=self._mapping.date_format, time_zone=self._mapping.time_zone,
                decimal=self._mapping.decimal,
            ))
            for name, place in self._binding.attributes.items()
        ]  # fmt: skip

    def numbered(self, numbers: Iterator[int]) -> None:
        """Give people these numbers of profiles from now on, should they be new: one for each record at most."""
        self._numbers = numbers

    def newcomers(self, wanted: bool) -> Newcomers | None:
        """From now on, write people down as new ones too, if wanted. None with sensitive attributes: the merge seals
        those."""
        self._newcomers = Newcomers() if wanted and not self._sensitive else None
        self._at = now().isoformat()
        return self._newcomers

    def _text(self, fields: Sequence[str], name: str) -> str:
        for place in self._used.get(name, ()):
            text = fields[place].strip()
            if text and not is_blank(text):  # «nan» is what a missing number looks like once it was printed
                return text
        return ""

    def _column(self, name: str) -> str:
        places = self._used.get(name)
        return self._binding.header[places[0]] if places else name

    def read(
        self, fields: Sequence[str], line: int, seen_at: datetime | None, faults: list[Fault]
    ) -> tuple[bytes, str] | None:
        """Key and staging row of the person; None when nothing tells who it is."""
        if self._newcomers is not None:
            key, row, faults_found = self._read(fields, line)
            faults += faults_found
            return (key, f"{self._import_id}\t{line}\t{row}\t\\N\n") if key else None
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

        def told(name: str, read: Callable[[str], str]) -> str:
            text = self._text(fields, name)
            if text:
                try:
                    return read(text)
                except Invalid as error:
                    faults.append(Fault(self._column(name), error.message))
            return ""

        def short(name: str) -> str:
            text = self._text(fields, name)
            text = _clean(text) if len(text) <= NAME_LIMIT else text_clean(text)
            if len(text) > NAME_LIMIT:
                faults.append(Fault(self._column(name), f"longer than {NAME_LIMIT} characters"))
                return ""
            return text

        external = email = phone = ""
        bare_id = told("external_id", _external_id)
        if bare_id:
            external = f"{self._mapping.source}:{bare_id}"
        email = told("email", email_normalize)
        country = country_code(self._text(fields, "country"))
        phone = told("phone", lambda text: phone_normalize(text.lstrip("'"), country))
        made = False
        if bare_id and not email and self._mapping.address_template:
            try:
                email = email_normalize(self._mapping.address_template.replace("{id}", bare_id))
                made = True
            except Invalid as error:
                faults.append(Fault(self._column("external_id"), f"gives no address: {error.message}"))
        if not (external or email or phone):
            return b"", "", faults
        external_digest = address_digest("external_id", external) if external else None
        email_digest = address_digest("email", email) if email else None
        phone_digest = address_digest("phone", phone) if phone else None
        first_name, last_name = short("first_name"), short("last_name")
        if not (first_name or last_name):
            first_name, _, last_name = short("full_name").partition(" ")
        agreed, declined, agreed_at = self._consent(fields, faults)
        key = external_digest or email_digest or phone_digest or b""
        clear, sensitive = self._attributes(fields, faults)
        drawn = next(self._numbers)
        seal = self._sealer.person_sealer(drawn)
        known = (
            (_hex(external_digest and seal("external_id", external_digest, external)), _hex(external_digest)),
            (_hex(email_digest and seal("email", email_digest, email)), _hex(email_digest)),
            (_hex(phone_digest and seal("phone", phone_digest, phone)), _hex(phone_digest)),
        )
        about = "\t".join((
            copy_value(first_name), copy_value(last_name), country,
            copy_value(language_tag(self._text(fields, "language"))),
            time_zone_name(self._text(fields, "time_zone")), copy_value(clear),
        ))  # fmt: skip
        said = f"{agreed}\t{declined}\t{copy_value(agreed_at)}"
        if self._newcomers is not None:
            self._arrive(self._newcomers, drawn, line, known, about, said)
        row = (
            _hex(key), str(drawn), *known[0], *known[1], "t" if made else "f", *known[2], about,
            _hex(sensitive and self._sealer.seal(SENSITIVE + key, sensitive)), said,
        )  # fmt: skip
        return key, "\t".join(row), faults

    def _arrive(
        self, newcomers: Newcomers, drawn: int, line: int, known: Sequence[tuple[str, str]], about: str, said: str
    ) -> None:
        """Write somebody down as new. known: for each of _KINDS sealed value and digest, as COPY takes them."""
        at, source = self._at, self._mapping.source
        profiles, keys, identifiers, staged = newcomers.rows
        profiles.append(f"{drawn}\t{about}\t{source}\t{at}\t{at}\n")
        _, version, master, wrapped, _ = self._sealer.person_key_row(drawn, at)
        keys.append(f"{drawn}\t{version}\t{master}\t{_hex(wrapped)}\t{at}\n")
        for (kind, main), (sealed, digest) in zip(_KINDS, known, strict=True):
            if digest != "\\N":
                identifiers.append(f"{drawn}\t{kind}\t{sealed}\t{digest}\tf\t{main}\t{source}\t{at}\n")
                newcomers.add(drawn, kind, digest)
        staged.append(f"{drawn}\t{self._import_id}\t{line}\t{said}\n")

    def _attributes(self, fields: Sequence[str], faults: list[Fault]) -> tuple[dict[str, Any], str | None]:
        """What may be stored in clear, and the sensitive ones as JSON, None without any."""
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
        return clear, json.dumps(sensitive, ensure_ascii=False) if sensitive else None

    def _consent(self, fields: Sequence[str], faults: list[Fault]) -> tuple[str, str, datetime | None]:
        """Purposes agreed to and declined (as arrays of PostgreSQL: codes are slugs), and when."""
        if not self._binding.consent:
            return "{}", "{}", None
        agreed: list[str] = []
        declined: list[str] = []
        at: datetime | None = None
        for purpose, (place, is_time) in self._binding.consent.items():
            try:
                if is_time:
                    if fields[place].strip():
                        at = _time(fields[place], self._mapping.date_format, self._mapping.time_zone)
                        agreed.append(purpose)
                elif (word := consent_read(fields[place])) is not None:
                    (agreed if word else declined).append(purpose)
            except ValueError as error:
                faults.append(Fault(self._binding.header[place], str(error)))
        if at is None and agreed and (text := self._text(fields, "consent_at")):
            try:
                at = time_read(text, self._mapping.date_format, self._mapping.time_zone)
            except ValueError as error:
                faults.append(Fault(self._column("consent_at"), str(error)))
        return "{" + ",".join(agreed) + "}", "{" + ",".join(declined) + "}", at


# many people have the same name, and agreed on the same day
_clean = lru_cache(maxsize=5_000)(text_clean)
_time = lru_cache(maxsize=5_000)(time_read)


def _hex(value: bytes | str | None) -> str:
    """Bytes as COPY takes them; what is empty is none."""
    return f"\\\\x{value.hex()}" if isinstance(value, bytes) else "\\N"


def _external_id(text: str) -> str:
    return external_id_normalize(text.lstrip("'"))  # Shopify writes '123 so that spreadsheets keep its digits


class ProfileRows:
    """Records of a file of people."""

    def __init__(self, mapping: Mapping, binding: Binding, import_id: int, sealer: Sealer, shapes: Shapes) -> None:
        self._person = PersonReader(mapping, binding, import_id, sealer, shapes)
        self.numbered = self._person.numbered
        self.newcomers = self._person.newcomers

    def defined(self, shapes: Shapes) -> None:
        """Read attributes by these definitions from now on."""
        self._person.defined(shapes)

    def read(self, fields: list[str], line: int, faults: list[Fault]) -> tuple[str, str]:
        """The person's staging row, and no line. Raises LineLost."""
        person = self._person.read(fields, line, None, faults)
        if person is None:
            raise LineLost(Fault("", "nothing in it tells who it is: no usable number or address", True))
        return person[1], ""

    def carried(self) -> dict[str, str]:
        """Nothing goes on from line to line."""
        return {}


class OrderRows:
    """Records of a file of order lines."""

    def __init__(
        self,
        mapping: Mapping,
        binding: Binding,
        import_id: int,
        sealer: Sealer,
        shapes: Shapes,
        carried: dict[str, str] | None = None,
    ) -> None:
        self._mapping = mapping
        self._binding = binding
        self._import_id = import_id
        self._person = PersonReader(mapping, binding, import_id, sealer, shapes)
        self.numbered = self._person.numbered
        get = binding.fields.get
        self._order = get("order", ())[0]
        head = {place for name in ORDER_FIELDS for place in get(name, ())} | set(self._person.places)
        head |= {place for place, _ in binding.cancelled}
        self._head_places = sorted(head)
        self._head = _getter(self._head_places)
        self._last_head: tuple[str, ...] | None = None
        self._shared = ""
        self._carried = dict(carried or {})
        tail = [get(name, ()) for name in ("sku", "title", "category")]
        self._sku, self._title, self._category = tail
        self._quantity = get("quantity", ())[0]
        self._price = get("unit_price", ())[0]
        self._numbers_get = itemgetter(self._quantity, self._price)
        self._numbers: dict[tuple[str, str], str] = {}
        self._goods: dict[tuple[str, ...], str] = {}
        self._goods_get = _getter(sorted({place for places in tail for place in places}))

    def defined(self, shapes: Shapes) -> None:
        """Read attributes by these definitions from now on."""
        self._person.defined(shapes)
        self._last_head = None

    def carried(self) -> dict[str, str]:
        """The order that was read last, to go on from after a stop: column's place → text."""
        return self._carried

    def read(self, fields: list[str], line: int, faults: list[Fault]) -> tuple[str, str]:
        """Staging rows of the person (`""` when the line before had the same) and of the line. Raises LineLost."""
        person_row = ""
        head = self._head(fields)
        if head != self._last_head:
            self._last_head = None
            if self._mapping.carry:
                self._carry(fields)
            person_row = self._read_head(fields, line, faults)
            self._last_head = head
        goods_of = self._goods_get(fields)
        goods = self._goods.get(goods_of)
        if goods is None:
            goods = self._read_goods(fields, faults)
            if len(self._goods) > 20_000:  # memory stays flat, however many items there are
                self._goods.clear()
            if sum(map(len, goods_of)) < 500:
                self._goods[goods_of] = goods
        numbers_of = self._numbers_get(fields)
        numbers = self._numbers.get(numbers_of)
        if numbers is None:
            numbers = "\t".join(map(str, self._read_numbers(fields)))
            if len(self._numbers) > 20_000:
                self._numbers.clear()
            if len(numbers_of[0]) + len(numbers_of[1]) < 60:
                self._numbers[numbers_of] = numbers
        return person_row, f"{self._import_id}\t{line}\t{self._shared}\t{goods}\t{numbers}\n"

    def _read_numbers(self, fields: list[str]) -> tuple[int, Decimal]:
        place = self._quantity
        try:
            quantity = quantity_read(fields[place])
            place = self._price
            price = amount_read(fields[place], self._mapping.decimal)
        except ValueError as error:
            raise LineLost(Fault(self._binding.header[place], str(error), True)) from None
        if abs(quantity) > 1000 and abs(quantity * price) >= LINE_TOTAL_LIMIT:
            raise LineLost(Fault(self._binding.header[place], "quantity times price is absurdly large", True))
        return quantity, price

    def _carry(self, fields: list[str]) -> None:
        number = fields[self._order].strip()
        order_place = str(self._order)
        if number and number == self._carried.get(order_place):
            for place in self._head_places:
                if not fields[place].strip():
                    fields[place] = self._carried.get(str(place), "")
        else:
            self._carried = {str(place): fields[place] for place in self._head_places if len(fields[place]) <= 1000}
            self._carried[order_place] = number

    def _read_head(self, fields: list[str], line: int, faults: list[Fault]) -> str:
        header, used = self._binding.header, self._binding.fields
        number = text_clean(fields[self._order])
        if not number or len(number) > NUMBER_LIMIT:
            reason = f"the order number is longer than {NUMBER_LIMIT} characters" if number else "no order number"
            raise LineLost(Fault(header[self._order], reason, True))
        place = next((place for place in used["placed_at"] if fields[place].strip()), used["placed_at"][0])
        try:
            placed_at = time_read(fields[place], self._mapping.date_format, self._mapping.time_zone)
        except ValueError as error:
            raise LineLost(Fault(header[place], str(error), True)) from None
        currency = self._mapping.currency
        for place in used.get("currency", ()):
            text = fields[place].strip().upper()
            if len(text) == 3 and text.isascii() and text.isalpha():
                currency = text
            elif text:
                faults.append(Fault(header[place], "a currency has three letters"))
        cancelled = any(rule.holds(fields[place]) for place, rule in self._binding.cancelled)
        person = self._person.read(fields, line, placed_at, faults)
        country = country_code(next((t for p in used.get("country", ()) if (t := fields[p].strip())), ""))
        shared = (number, person[0] if person else None, placed_at, cancelled, country, currency)
        self._shared = "\t".join(map(copy_value, shared))
        return person[1] if person else ""

    def _read_goods(self, fields: list[str], faults: list[Fault]) -> str:
        sku = next((text for place in self._sku if (text := text_clean(fields[place]))), "")
        if not sku:
            raise LineLost(Fault(self._binding.header[self._sku[0]], "no item number", True))
        if len(sku) > NUMBER_LIMIT:  # names used as numbers may be long; cut ones must still differ
            sku = f"{sku[: NUMBER_LIMIT - 17]}-{sha256(sku.encode()).hexdigest()[:16]}"
        title = next((text for place in self._title if (text := text_clean(fields[place]))), "")[:TITLE_LIMIT]
        category = next((text for place in self._category if (text := text_clean(fields[place]))), "")[:NAME_LIMIT]
        return "\t".join(map(copy_value, (sku, title, category)))


def rows_reader(
    mapping: Mapping,
    binding: Binding,
    import_id: int,
    sealer: Sealer,
    shapes: Shapes,
    carried: dict[str, str] | None = None,
) -> ProfileRows | OrderRows:
    """What reads the records of an import. shapes: of the attributes that are defined; `defined` gives newer ones."""
    if mapping.kind == "orders":
        return OrderRows(mapping, binding, import_id, sealer, shapes, carried)
    return ProfileRows(mapping, binding, import_id, sealer, shapes)
