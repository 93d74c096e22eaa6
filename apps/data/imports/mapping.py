"""Which column of a file is what: the mapping, read from YAML or a preset, and its binding to a file's header.

Pure: no database, no clock.
"""

import codecs
import re
from collections.abc import Mapping as MappingABC
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apps.foundation.core.errors import Invalid

PERSON_FIELDS = (
    "external_id", "email", "phone", "first_name", "last_name", "full_name", "country", "language", "time_zone",
    "consent_at",
)  # fmt: skip
ORDER_FIELDS = ("order", "placed_at", "currency")
LINE_FIELDS = ("sku", "title", "category", "quantity", "unit_price")
KINDS = {"profiles": PERSON_FIELDS, "orders": (*PERSON_FIELDS, *ORDER_FIELDS, *LINE_FIELDS)}
NEEDED = {"profiles": (), "orders": ("order", "placed_at", "sku", "quantity", "unit_price")}
_SOURCE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,59}")
_CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class CancelledIf:
    """An order is cancelled if this holds for a column: it is filled, begins so, or is one of these words."""

    column: str
    filled: bool = False
    starts_with: str = ""
    words: tuple[str, ...] = ()

    def holds(self, text: str) -> bool:
        """Whether a field says so."""
        if self.filled:
            return bool(text.strip())
        if self.starts_with:
            return text.startswith(self.starts_with)
        return text.strip().casefold() in self.words


@dataclass(frozen=True, slots=True)
class Mapping:
    """How a file is read.

    columns: field → names of columns, of which the first that is filled counts. optional: fields whose columns may
    be missing. attributes: name in the profile → column. source: where customer and order numbers belong to.
    carry: a blank field of an order means "as in the line above" (Shopify). whole_orders: the file always holds an
    order with all its lines, so lines that are gone from it are gone. services: item numbers that are no goods
    (`POST`, `gift_*`). date_format: as for `strptime`; empty for ISO 8601.
    """

    kind: str
    source: str
    columns: dict[str, tuple[str, ...]]
    optional: tuple[str, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)
    cancelled: tuple[CancelledIf, ...] = ()
    currency: str = ""
    address_template: str = ""
    date_format: str = ""
    time_zone: str = "UTC"
    decimal: str = "."
    delimiter: str = ""
    encoding: str = "utf-8"
    carry: bool = False
    whole_orders: bool = False
    services: tuple[str, ...] = ()
    consent: dict[str, str] = field(default_factory=dict)
    consent_times: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The mapping as plain data, which `mapping_parse` reads again."""
        return asdict(self)


def mapping_parse(data: object, *, kind: str) -> Mapping:
    """A mapping from plain data (a YAML file). Raises Invalid (`mapping_invalid`) with every fault in it."""
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise Invalid("mapping_invalid", "A mapping is a list of `name: value`; see `docs/how-it-works/imports.md`")
    faults: list[str] = []
    known = {item.name for item in fields(Mapping)}
    faults += [f"`{name}` is no setting of a mapping" for name in sorted(set(data) - known)]
    if data.get("kind", kind) != kind:
        faults.append(f"the mapping is for {data['kind']!r}, the import is of {kind}")
    columns: dict[str, tuple[str, ...]] = {}
    for name, value in _dict(data, "columns", faults).items():
        if name not in KINDS[kind]:
            faults.append(f"columns: `{name}` is no field; there are {', '.join(KINDS[kind])}")
        columns[name] = _texts(value, f"columns: {name}", faults)
    faults += [f"columns: `{name}` is needed" for name in NEEDED[kind] if name not in columns]
    if kind == "profiles" and not {"external_id", "email", "phone"} & set(columns):
        faults.append("columns: one of `external_id`, `email`, `phone` is needed to tell people apart")
    settings: dict[str, Any] = {}
    for name, default in (
        ("source", ""), ("currency", ""), ("address_template", ""), ("date_format", ""), ("time_zone", "UTC"),
        ("decimal", "."), ("delimiter", ""), ("encoding", "utf-8"),
    ):  # fmt: skip
        settings[name] = _text(data.get(name, default), name, faults)
    for name in ("carry", "whole_orders"):
        settings[name] = data.get(name, False)
        if not isinstance(settings[name], bool):
            faults.append(f"{name}: is `true` or `false`")
    for name in ("optional", "services", "consent_times"):
        settings[name] = _texts(data.get(name, []), name, faults)
    for name in ("attributes", "consent"):
        settings[name] = {
            _text(key, name, faults): _text(value, f"{name}: {key}", faults)
            for key, value in _dict(data, name, faults).items()
        }
    settings["cancelled"] = tuple(_cancelled(entry, faults) for entry in _list(data, "cancelled", faults))
    mapping = Mapping(kind=kind, columns=columns, **settings)
    faults += _faults(mapping)
    if faults:
        raise Invalid("mapping_invalid", "The mapping has faults:\n- " + "\n- ".join(faults), {"faults": faults})
    return mapping


def _faults(mapping: Mapping) -> list[str]:
    faults = []
    if not _SOURCE.fullmatch(mapping.source):
        faults.append("source: name the shop or tool in small letters, digits, `-`, `_`, `.`")
    if mapping.currency and not _CURRENCY.fullmatch(mapping.currency):
        faults.append("currency: three capitals as in ISO 4217, such as EUR")
    if mapping.decimal not in (".", ","):
        faults.append("decimal: is `.` or `,`")
    if mapping.delimiter not in ("", ",", ";", "\t", "|"):
        faults.append("delimiter: is one of , ; | or a tab; leave it out to have it found")
    try:
        ZoneInfo(mapping.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        faults.append(f"time_zone: there is no {mapping.time_zone!r}; say it as in Europe/Vienna")
    try:
        if 'é,\n"'.encode(mapping.encoding)[-3:] != b',\n"' or codecs.lookup(mapping.encoding).name == "utf-7":
            faults.append("encoding: one in which ASCII is ASCII, such as utf-8 or cp1252")
    except (LookupError, UnicodeError):
        faults.append(f"encoding: there is no {mapping.encoding!r} for text such as this")
    template = mapping.address_template
    if template and (template.count("{id}") != 1 or "@" not in template or template.count("{") != 1):
        faults.append("address_template: is an address with {id} in it once, such as customer-{id}@example.com")
    elif template and "external_id" not in mapping.columns:
        faults.append("address_template: needs the column of the customer number (`external_id`)")
    return faults


def _dict(data: MappingABC[str, object], name: str, faults: list[str]) -> dict[str, object]:
    value = data.get(name) or {}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return value
    faults.append(f"{name}: is a list of `name: value`")
    return {}


def _list(data: MappingABC[str, object], name: str, faults: list[str]) -> Sequence[object]:
    value = data.get(name) or []
    if isinstance(value, list | tuple):
        return value
    faults.append(f"{name}: is a list")
    return []


def _text(value: object, place: str, faults: list[str]) -> str:
    if isinstance(value, str):
        return value
    faults.append(f"{place}: is a text; put it in quotation marks")
    return ""


def _texts(value: object, place: str, faults: list[str]) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if isinstance(values, list | tuple) and all(isinstance(item, str) for item in values):
        return tuple(values)
    faults.append(f"{place}: is a text, or a list of texts; YAML needs quotation marks around words such as No")
    return ()


def _cancelled(entry: object, faults: list[str]) -> CancelledIf:
    if isinstance(entry, dict) and set(entry) <= {"column", "filled", "starts_with", "words"}:
        words = _texts(entry.get("words", []), "cancelled: words", faults)
        made = CancelledIf(
            column=_text(entry.get("column"), "cancelled: column", faults),
            filled=entry.get("filled") is True,
            starts_with=_text(entry.get("starts_with", ""), "cancelled: starts_with", faults),
            words=tuple(word.strip().casefold() for word in words),
        )
        if [made.filled, bool(made.starts_with), bool(made.words)].count(True) == 1:
            return made
    faults.append("cancelled: each entry has a `column` and one of `filled: true`, `starts_with`, `words`")
    return CancelledIf(column="")


@dataclass(frozen=True, slots=True)
class Binding:
    """A mapping on one file's header: places of columns, from 0. `width`: how many columns the header has."""

    header: tuple[str, ...]
    fields: dict[str, tuple[int, ...]]
    attributes: dict[str, int]
    cancelled: tuple[tuple[int, CancelledIf], ...]
    consent: dict[str, tuple[int, bool]]

    @property
    def width(self) -> int:
        """How many fields each record has."""
        return len(self.header)


def header_bind(mapping: Mapping, header: Sequence[str]) -> Binding:
    """Find the mapping's columns in a header; case and spaces around don't matter.

    Raises Invalid (`columns_missing`) that lists what is missing or there twice, and what there is.
    """
    names = [name.strip() for name in header]
    places: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        places.setdefault(name.casefold(), []).append(number)
    missing: list[str] = []
    twice: list[str] = []

    def find(name: str) -> int | None:
        found = places.get(name.strip().casefold(), [])
        if len(found) > 1 and name not in twice:
            twice.append(name)
        return found[0] if found else None

    def need(name: str) -> int:
        place = find(name)
        if place is None and name not in missing:
            missing.append(name)
        return place or 0

    def seek(name: str, part: str) -> int | None:
        return find(name) if part in mapping.optional else need(name)

    bound: dict[str, tuple[int, ...]] = {}
    for field_name, columns in mapping.columns.items():
        if found := [place for name in columns if (place := find(name)) is not None]:
            bound[field_name] = tuple(found)
        elif field_name not in mapping.optional:
            missing.append(" or ".join(columns) + f" (for {field_name})")
    attributes = {
        name: place for name, column in mapping.attributes.items() if (place := seek(column, "attributes")) is not None
    }
    cancelled = tuple(
        (place, rule) for rule in mapping.cancelled if (place := seek(rule.column, "cancelled")) is not None
    )
    times = {name.casefold() for name in mapping.consent_times}
    consent = {purpose: (need(name), name.casefold() in times) for purpose, name in mapping.consent.items()}
    if missing or twice:
        parts = []
        if missing:
            parts.append("These columns are missing: " + ", ".join(missing) + ".")
        if twice:
            parts.append("These columns are there more than once: " + ", ".join(twice) + ".")
        shown = ", ".join(name[:60] for name in names[:60])
        raise Invalid(
            "columns_missing", " ".join([*parts, f"The file has: {shown}."]), {"missing": missing, "twice": twice}
        )
    return Binding(tuple(names), bound, attributes, cancelled, consent)


def mapping_fits(mapping: Mapping, header: Sequence[str]) -> bool:
    """Whether a header holds what the mapping needs."""
    try:
        header_bind(mapping, header)
    except Invalid:
        return False
    return True
