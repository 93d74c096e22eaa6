"""Dates, numbers and yes-or-no as files write them. Pure; what can't be read raises ValueError with the reason."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

QUANTITY_LIMIT = 2**31 - 1
PRICE_LIMIT = Decimal(10) ** 10
LINE_TOTAL_LIMIT = Decimal(10) ** 12
"""Above any real order line, and low enough that no order's revenue outgrows its column."""
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_PLACES = Decimal("0.0001")
_QUANTITY = re.compile(r"[+-]?\d{1,12}(?:\.0{1,8})?", re.ASCII)
_AMOUNT = re.compile(r"[+-]?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})", re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3}){1,6}(?:\.\d*)?", re.ASCII)
_SWAPPED = str.maketrans(",.", ".,")
_OFFSET = re.compile(r"(.*\d) ?(UTC|GMT|Z|[+-]\d\d:?\d\d)", re.ASCII)
_YES = frozenset({"yes", "y", "true", "t", "1", "ja", "oui", "si", "sí", "subscribed", "opt-in", "opted in", "granted"})
_NO = frozenset(
    {"no", "n", "false", "f", "0", "nein", "non", "unsubscribed", "not subscribed", "opt-out", "opted out", "withdrawn",
     "cleaned", "pending", "invalid", "redacted"}
)  # fmt: skip


@lru_cache(maxsize=50_000)
def time_read(text: str, date_format: str = "", zone: str = "UTC") -> datetime:
    """A time. Without an offset of its own it is one of `zone`. date_format: as for strptime; empty for ISO 8601."""
    text = text.strip()
    if not text:
        raise ValueError("the date is empty")
    if not text.isascii() or len(text) > 40 or (len(text) < 8 and not date_format):
        raise ValueError("this is no date")
    try:
        if date_format:
            value = datetime.strptime(text, date_format)  # noqa: DTZ007  # its zone is put in below
        else:
            if with_offset := _OFFSET.fullmatch(text):
                text = with_offset[1] + {"UTC": "Z", "GMT": "Z"}.get(with_offset[2], with_offset[2])
            value = datetime.fromisoformat(text)
        value = (value if value.tzinfo else value.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("this is no date" + (f" of the form {date_format}" if date_format else "")) from None
    if value < _FIRST or value > datetime.now(UTC) + timedelta(days=2):
        raise ValueError("the date lies before 1970 or in the future")
    return value


@lru_cache(maxsize=10_000)
def quantity_read(text: str) -> int:
    """A whole number; negative for what was given back."""
    text = text.strip()
    if not _QUANTITY.fullmatch(text):
        raise ValueError("this is no whole number" if text else "the quantity is empty")
    value = int(text.partition(".")[0])
    if abs(value) > QUANTITY_LIMIT:
        raise ValueError("the quantity is absurdly large")
    return value


@lru_cache(maxsize=10_000)
def amount_read(text: str, decimal: str = ".") -> Decimal:
    """An amount, rounded to four places; groups of thousands may be marked by the sign that isn't `decimal`."""
    text = text.strip()
    if decimal == ",":
        text = text.translate(_SWAPPED)
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    if not _AMOUNT.fullmatch(text):
        raise ValueError("this is no amount" if text else "the amount is empty")
    value = Decimal(text).quantize(_PLACES)
    if abs(value) >= PRICE_LIMIT:
        raise ValueError("the amount is absurdly large")
    return value


def consent_read(text: str) -> bool | None:
    """Whether a word says yes. None when the field is empty; an unknown word raises ValueError and grants nothing."""
    word = " ".join(text.split()).casefold()
    if not word:
        return None
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise ValueError("this word says neither yes nor no, so nothing was granted")
