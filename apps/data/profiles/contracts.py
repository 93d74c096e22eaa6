"""What crosses from profiles to other apps about attributes. No Django, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["text", "number", "bool", "date", "datetime", "choice", "texts"]

PROFILE_COLUMNS = ("first_name", "last_name", "country", "language", "time_zone", "source")
"""Attributes that every profile has as a column. They hide free attributes of the same name."""


@dataclass(frozen=True, slots=True)
class AttributeShape:
    """What an attribute is by its definition.

    id: of the definition; labels: by language; allowed: what a choice may be, and each text of a list; fallback: what
    reads well where nothing is known; fresh_days: for how long what came in counts as fresh; moving: while values are
    being sealed or opened, for both are there then.
    """

    id: int
    name: str
    kind: Kind
    sensitive: bool = False
    required: bool = False
    correctable: bool = False
    moving: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    allowed: tuple[str, ...] = ()
    fallback: Any = None
    fresh_days: int | None = None


@dataclass(frozen=True, slots=True)
class HeldSealed:
    """A sensitive attribute of a person as it is stored: found by its digest, opened by `attributes.py` only."""

    definition_id: int
    digest: bytes
    sealed: bytes


@dataclass(slots=True)  # not frozen: it is made for each person of a batch, which takes a third so
class AttributesHeld:
    """What is stored of one person. Nobody changes it.

    columns: of the profile; clear: JSON texts by name, None where there is none.
    """

    columns: Mapping[str, Any]
    clear: Mapping[str, str | None]
    sealed: Mapping[str, HeldSealed]


@dataclass(frozen=True, slots=True)
class AttributeShown:
    """One attribute for people's eyes. value: in words; "" where it is hidden and only known to be there."""

    name: str
    label: str
    value: str
    sensitive: bool
