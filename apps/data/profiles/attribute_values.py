"""The values of attributes by their kind: read from what files, forms and programs give. Pure.

What does not fit raises ValueError with the reason. A reason never repeats the value: it may be a sensitive one, and
reasons are written into files and logs.
"""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from .contracts import AttributeShape, Kind
from .normalize import text_clean

TEXT_LIMIT: Final = 1000
LIST_LIMIT: Final = 100
ITEM_LIMIT: Final = 200
KINDS: Final[Mapping[Kind, str]] = {
    "text": "text",
    "number": "number",
    "bool": "yes or no",
    "date": "date",
    "datetime": "date and time",
    "choice": "one of a list",
    "texts": "list of texts",
}
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,10})?")
_DIGITS: Final = 15
"""Digits that a number of JSON keeps in every program (IEEE 754, binary64)."""
_EXACT: Final = Context(prec=2000)
# fmt: off
_YES: Final = frozenset({"yes", "y", "true", "t", "1", "on", "ja", "oui", "si", "sí", "نعم"})
_NO: Final = frozenset({"no", "n", "false", "f", "0", "off", "nein", "non", "لا"})
# fmt: on


def value_read(
    shape: AttributeShape, given: object, *, date_format: str = "", time_zone: str = "UTC", decimal: str = "."
) -> Any:
    """What is stored of a value, as JSON has it; None where it says nothing. Raises ValueError.

    date_format: as for strptime, "" for ISO 8601; time_zone: of times without one; decimal: the sign of texts.
    """
    if given is None or (isinstance(given, str) and not (given := text_clean(given))):
        return None
    if shape.kind == "bool":
        return _truth(given)
    if shape.kind == "number":
        return _number(given, decimal)
    if shape.kind == "date":
        return _date(given, date_format)
    if shape.kind == "datetime":
        return _moment(given, date_format, time_zone)
    if shape.kind == "texts":
        return _texts(given, shape.allowed) or None
    text = _text(given)
    if shape.kind == "choice" and text not in shape.allowed:
        raise ValueError(f"must be one of: {_listed(shape.allowed)}")
    return text


def undefined_read(given: object) -> Any:
    """A value of an attribute that nobody defined: kept as it is, if JSON can hold it in reason. Raises ValueError."""
    if isinstance(given, str):
        return _text(given) if (given := text_clean(given)) else None
    if given is None or isinstance(given, bool):
        return given
    if isinstance(given, int | float | Decimal):
        return _number(given, ".")
    if isinstance(given, list | tuple):
        return _texts(given, ()) or None
    raise ValueError("must be a text, a number, yes or no, or a list of texts: define it for more")


def token_of(value: object) -> str | None:
    """What the digest of a sensitive value is made of, and two equal values share; None for what is only ever known.

    A number, a text and a truth are never equal; 5 and 5.0 are.
    """
    if isinstance(value, bool):
        return f"b:{'true' if value else 'false'}"
    if isinstance(value, str):
        return f"s:{value}"
    if isinstance(value, int | float | Decimal):
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        return f"n:{number.normalize(_EXACT):f}" if number else "n:0"
    return None


def is_known(value: object) -> bool:
    """Whether a stored value says something, as rules ask `known`."""
    return value is not None and value != ""


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise ValueError("must be a text")  # for people: one kind of error for what does not fit
    text = text_clean(given)
    if len(text) > TEXT_LIMIT:
        raise ValueError(f"longer than {TEXT_LIMIT} characters")
    return text


def _truth(given: object) -> bool:
    if isinstance(given, bool):
        return given
    word = given.casefold() if isinstance(given, str) else ""
    if word in _YES or word in _NO:
        return word in _YES
    raise ValueError("must be yes or no")


def _number(given: object, decimal: str) -> int | float:
    wrong = "must be a number such as 12.5" if decimal == "." else "must be a number such as 12,5"
    if isinstance(given, str):
        text = given.replace(",", ".") if decimal == "," else given
        if not _NUMBER.fullmatch(text):
            raise ValueError(wrong)
        number = Decimal(text)
    elif isinstance(given, int | float | Decimal) and not isinstance(given, bool):
        number = Decimal(repr(given)) if isinstance(given, float) else Decimal(given)
    else:
        raise ValueError(wrong)
    if not number.is_finite() or abs(number) >= Decimal(10) ** _DIGITS:
        raise ValueError(wrong)
    if number == number.to_integral_value():
        return int(number)
    if len(number.normalize().as_tuple().digits) > _DIGITS:
        raise ValueError(f"has more than {_DIGITS} digits")
    return float(number)


@lru_cache(maxsize=10_000)
def _date_in(text: str, date_format: str) -> str:
    try:
        if date_format:
            return datetime.strptime(text, date_format).date().isoformat()  # noqa: DTZ007  # a day has no zone
        return date.fromisoformat(text).isoformat()
    except ValueError:
        form = f" of the form {date_format}" if date_format else " such as 2026-01-31"
        raise ValueError(f"must be a date{form}") from None


def _date(given: object, date_format: str) -> str:
    if not isinstance(given, str):
        raise ValueError("must be a date such as 2026-01-31")
    if len(given) > 60:
        raise ValueError("must be a date such as 2026-01-31")
    return _date_in(given, date_format)


def _moment(given: object, date_format: str, time_zone: str) -> str:
    wrong = f"must be a date and time{f' of the form {date_format}' if date_format else ' such as 2026-01-31 08:00'}"
    if not isinstance(given, str) or len(given) > 60:
        raise ValueError(wrong)
    try:
        value = (
            datetime.strptime(given, date_format) if date_format else datetime.fromisoformat(given)  # noqa: DTZ007
        )
        value = (value if value.tzinfo else value.replace(tzinfo=ZoneInfo(time_zone))).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(wrong) from None
    return value.isoformat().replace("+00:00", "Z")


def _texts(given: object, allowed: Sequence[str]) -> list[str]:
    """A list as JSON has it; from a text, what stands between its commas."""
    if isinstance(given, str):
        if len(given) > LIST_LIMIT * ITEM_LIMIT:
            raise ValueError(f"may have {LIST_LIMIT} texts of {ITEM_LIMIT} characters")
        given = next(iter(csv.reader([given], skipinitialspace=True)), [])
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in given):
        raise ValueError("must be a list of texts, with commas between them")
    texts = list(dict.fromkeys(text for one in given if (text := text_clean(one))))
    if len(texts) > LIST_LIMIT or any(len(text) > ITEM_LIMIT for text in texts):
        raise ValueError(f"may have {LIST_LIMIT} texts of {ITEM_LIMIT} characters")
    if allowed and not set(texts) <= set(allowed):
        raise ValueError(f"may have only these: {_listed(allowed)}")
    return texts


def _listed(allowed: Sequence[str]) -> str:
    shown = ", ".join(allowed[:12])
    return f"{shown}…" if len(allowed) > 12 else shown


Reader = Callable[[object], Any]


def reader_of(
    shape: AttributeShape | None, *, date_format: str = "", time_zone: str = "UTC", decimal: str = "."
) -> Reader:
    """What reads the values of one attribute; None: nobody defined it."""
    if shape is None:
        return undefined_read
    return lambda given: value_read(shape, given, date_format=date_format, time_zone=time_zone, decimal=decimal)
