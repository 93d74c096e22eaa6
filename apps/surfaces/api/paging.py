"""Pages by key: the next page begins behind the last row of this one, however much came or went meanwhile."""

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import orjson
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from rest_framework.request import Request

from .problems import Problem

LIMIT: Final = 50
LIMIT_MOST: Final = 200
M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Page(Generic[M]):
    """Some rows, and the cursor of those behind them; None at the end."""

    rows: list[M]
    next: str | None

    def body(self, items: Iterable[Any]) -> dict[str, Any]:
        """The answer, with what the rows look like."""
        return {"items": list(items), "next": self.next}


def page_read(request: Request, rows: "QuerySet[M]", *, by: Sequence[str] = ("pk",)) -> Page[M]:
    """The page that a request asks for by `limit` and `cursor`.

    by: fields that order the rows and tell them apart together; with `-` before all of them, the newest first.
    Raises Problem (400) for a limit or cursor that is none.
    """
    limit = limit_read(request)
    names = [name.removeprefix("-") for name in by]
    down = by[0].startswith("-")
    if cursor := request.query_params.get("cursor"):
        rows = rows.filter(_behind(names, _values(rows.model, names, cursor), "lt" if down else "gt"))
    found = list(rows.order_by(*by)[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    return Page(found, cursor_make([getattr(found[-1], name) for name in names]) if more else None)


def limit_read(request: Request, *, most: int = LIMIT_MOST) -> int:
    """How many rows are asked for. Raises Problem (400)."""
    text = request.query_params.get("limit", str(LIMIT))
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= most):
        detail = f"limit is a number from 1 to {most}"
        raise Problem(400, "limit_wrong", detail, more={"errors": [{"parameter": "limit", "detail": detail}]})
    return int(text)


def cursor_make(values: Sequence[Any]) -> str:
    """A cursor behind these values: opaque to clients, and no secret."""
    return base64.urlsafe_b64encode(orjson.dumps(list(values), default=str)).rstrip(b"=").decode()


def cursor_read(cursor: str) -> list[Any]:
    """The values of a cursor. Raises Problem (400)."""
    try:
        values = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        values = None
    if not isinstance(values, list) or not values:
        raise _wrong()
    return values


def _values(model: type[Model], names: Sequence[str], cursor: str) -> list[Any]:
    values = cursor_read(cursor)
    if len(values) != len(names):
        raise _wrong()
    try:
        read = [
            (model._meta.pk if name == "pk" else model._meta.get_field(name)).to_python(value)  # type: ignore[union-attr]
            for name, value in zip(names, values, strict=True)
        ]
    except (ValidationError, TypeError, ValueError, OverflowError):
        raise _wrong() from None
    if not all(isinstance(value, int | str | datetime | UUID) and _holdable(value) for value in read):
        raise _wrong()
    return read


def _holdable(value: Any) -> bool:
    return abs(value) < 2**63 if isinstance(value, int) else "\0" not in value if isinstance(value, str) else True


def _behind(names: Sequence[str], values: Sequence[Any], way: str) -> Q:
    """Rows behind these values in the order of the fields, one after the other."""
    found, same = Q(), Q()
    for name, value in zip(names, values, strict=True):
        found |= same & Q(**{f"{name}__{way}": value})
        same &= Q(**{name: value})
    return found


def _wrong() -> Problem:
    detail = "This cursor is none of ours: begin without one"
    return Problem(400, "cursor_wrong", detail, more={"errors": [{"parameter": "cursor", "detail": detail}]})


def number_read(request: Request, name: str) -> int | None:
    """A query parameter that is an id; None where it is not given. Raises Problem (400)."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        detail = f"{name} is a number"
        raise Problem(400, "parameter_wrong", detail, more={"errors": [{"parameter": name, "detail": detail}]})
    return int(text)


def choice_read(request: Request, name: str, choices: Sequence[str]) -> str | None:
    """A query parameter that is one of some words; None where it is not given. Raises Problem (400)."""
    text = request.query_params.get(name)
    if text is not None and text not in choices:
        detail = f"{name} is one of {', '.join(choices)}"
        raise Problem(400, "parameter_wrong", detail, more={"errors": [{"parameter": name, "detail": detail}]})
    return text
