"""The filters and tests of templates: one table, for what is checked at save and for what runs.

Each says what it does to a value while rendering (`run`), and what the fallback proof may conclude (`makes`: shapes in,
shapes out, or why it can't be used there). Filters that change a text keep what shows showing, which `_keeping` makes
sure of ("ı" in upper case is "I", and a cut text could begin with spaces); `replace` alone can leave nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce, wraps
from math import isfinite
from re import compile as pattern
from typing import Any, Final

from markupsafe import Markup

from apps.foundation.core.text import is_blank

from .shapes import (
    ESCAPED,
    FALSY,
    LISTS,
    NOTHING,
    NUMBERS,
    PRINTABLE,
    SHOWING,
    TEXT,
    TRUTHY,
    YES_NO,
    Shape,
    Value,
    joined,
    list_of,
    shapes_after,
    shapes_as_text,
    text_value,
    value_of_literal,
)

Makes = Callable[..., "Value | str"]
"""What the proof concludes: from the value and the arguments to the result, or to what is wrong and how to mend it."""
_GROWTH: Final = 3
"""Characters that one can become in another case ("ΐ" in upper case)."""
_WORD = pattern(r"[^\s({\[<-]+")


@dataclass(frozen=True, slots=True)
class Filter:
    """run, makes: see above; arguments: the kinds of its literal arguments (`object`: any value that always shows);
    optional: how many of the last may be left out; between: the numbers that it takes; usage: how it is written;
    stands_in: whether it answers instead of what is missing.
    """

    run: Callable[..., object]
    makes: Makes
    arguments: tuple[type, ...] = ()
    optional: int = 0
    between: tuple[int, int] = (0, 10_000)
    usage: str = ""
    stands_in: bool = False


@dataclass(frozen=True, slots=True)
class Test:
    """run: whether it holds; shapes: those of all values for which it does, None if that depends on more;
    numbers: whether it asks for a number; argument: whether it takes one, a whole number above 0.
    """

    run: Callable[..., bool]
    shapes: Shape | None = None
    numbers: bool = False
    argument: bool = False


# --- while rendering ---


def _plain(value: str) -> str:
    return str(value.unescape()) if isinstance(value, Markup) else value


def _keeping(change: Callable[..., str]) -> Callable[..., object]:
    @wraps(change)
    def run(value: object, *args: object) -> object:
        # Only text is changed; a number, or what is missing, stays as it is for the filters behind.
        if not isinstance(value, str):
            return value
        plain = _plain(value)
        changed = change(plain, *args)
        return plain if is_blank(changed) else changed

    return run


def _fallback(value: object, instead: object) -> object:
    return instead if value is True or value is False or is_blank(value) else value


def _default(value: object, instead: object, _boolean: bool) -> object:
    return value or instead


def _number(value: object, instead: int) -> int | float:
    """A finite number as it is (3.0 as 3), else `instead`."""
    if type(value) is float and isfinite(value):
        return int(value) if value == int(value) else value
    return value if type(value) is int else instead


def _round(value: float, digits: int = 0) -> int | float:
    """To so many digits; 3.0 as 3."""
    return _number(round(float(value), digits), 0)


def _cut(value: str, length: int) -> str:
    """At most `length` characters, the last one an ellipsis when something was cut."""
    length = max(length, 2)
    return value if len(value) <= length else value[: length - 1].rstrip() + "…"


def _title(value: str) -> str:
    return _WORD.sub(lambda word: word[0][0].upper() + word[0][1:].lower(), value)


def _replace(value: object, old: str, new: str) -> object:
    return _plain(value).replace(old, new) if isinstance(value, str) else value


def _length(value: object) -> int:
    return len(value) if isinstance(value, list | tuple | str) else 0


def _first(value: object) -> object:
    return value[0] if isinstance(value, list | tuple) and value else None


def _last(value: object) -> object:
    return value[-1] if isinstance(value, list | tuple) and value else None


def _batch(value: Sequence[object], count: int) -> list[list[object]]:
    return [list(value[start : start + count]) for start in range(0, len(value), count)]


def _join(value: Sequence[Any], between: str = "", field: str = "") -> str:
    return between.join(str(entry[field] if field else entry) for entry in value)


# --- what the proof may conclude ---


def _from_fallback(value: Value, instead: Value) -> Value:
    gone = Shape.NONE | YES_NO | Shape.EMPTY | Shape.BLANK | Shape.NO_ITEMS
    return _instead(value, value.shapes & ~gone, instead)


def _from_default(value: Value, instead: Value, boolean: bool = False) -> Value | str:
    if not boolean:
        return 'does not catch what is blank: use | fallback("…")'
    return _instead(value, value.shapes & TRUTHY, instead, replaced=value.may_be(FALSY))


def _instead(value: Value, kept: Shape, instead: Value, *, replaced: bool | None = None) -> Value:
    """`value` where it has one of the shapes `kept`, else `instead`."""
    if not kept:
        return instead
    replaced = kept != value.shapes if replaced is None else replaced
    return joined([value.only(kept), instead]) if replaced else value


def _from_number(value: Value, instead: int) -> Value:
    literal = value_of_literal(instead)
    kept = value.shapes & NUMBERS
    number = Value(kept, largest=value.largest)
    if kept == value.shapes:
        return number
    return joined([number, literal]) if kept else literal


def _of_text(value: Value, *, longest: int | None = None, empties: bool = False) -> Value | str:
    """A text that was changed; what is none stays as it is. empties: it may have lost everything."""
    if value.may_be(LISTS | Shape.ITEM):
        return "is for texts only"
    if not value.may_be(TEXT):
        return value
    shapes = value.shapes & ~TEXT | value.shapes & Shape.EMPTY
    if value.may_be(SHOWING | Shape.BLANK):
        shapes |= SHOWING
    if value.may_be(Shape.BLANK) or (empties and value.may_be(SHOWING)):
        shapes |= Shape.BLANK
    if empties:
        shapes |= Shape.EMPTY
    grown = value.longest * (ESCAPED if value.markup else 1)
    return replace(value, shapes=shapes, markup=False, longest=grown if longest is None else min(grown, longest))


def _in_case(value: Value) -> Value | str:
    return _of_text(replace(value, longest=value.longest * _GROWTH))


def _from_trim(value: Value) -> Value | str:
    return _of_text(value)


def _from_truncate(value: Value, length: int) -> Value | str:
    return _of_text(value, longest=max(length, 2) * ESCAPED)


def _from_replace(value: Value, old: str, new: str) -> Value | str:
    if not old:
        return "replace needs a text to look for"
    return _of_text(replace(value, longest=value.longest * max(1, len(new) * ESCAPED)), empties=True)


def _from_round(value: Value, digits: int = 0) -> Value | str:
    if not value.is_only(NUMBERS):
        return "only numbers can be rounded: write | number(0) before it"
    return Value(NUMBERS, largest=value.largest + 1)


def _from_length(value: Value) -> Value:
    some, none = value.may_be(Shape.ITEMS | TEXT & ~Shape.EMPTY), not value.is_only(Shape.ITEMS | SHOWING)
    largest = max(value.most, value.longest)
    return Value((Shape.NUMBER if some else NOTHING) | (Shape.ZERO if none or not some else NOTHING), largest=largest)


def _from_one(value: Value) -> Value | str:
    if not value.is_only(LISTS):
        return "is for lists only"
    nothing = Value(Shape.NONE)
    if value.each is None:
        return nothing
    return joined([value.each, nothing]) if value.may_be(Shape.NO_ITEMS) else value.each


def _from_batch(value: Value, count: int) -> Value | str:
    if not value.is_only(LISTS) or value.each is None:
        return "is for lists only"
    rows = -(-value.most // count)
    return replace(
        list_of(list_of(value.each, min(count, value.most), empty=False), rows, empty=True), shapes=value.shapes
    )


def _from_join(value: Value, between: str = "", field: str = "") -> Value | str:
    if not value.is_only(LISTS):
        return "is for lists only"
    each = value.each
    if each is not None and field:
        each = each.field_named(field) if each.is_only(Shape.ITEM) else None
        if each is None:
            return 'joins a field of items: join(", ", "title")'
    if each is None:
        return text_value(Shape.EMPTY, 0)
    if not each.is_only(PRINTABLE) or each.markup:
        return "joins what always shows only: give each entry a fallback"
    separator = value_of_literal(between)
    one = shapes_as_text(each.shapes)
    several = one
    while (more := several | reduce(shapes_after, (separator.shapes, one), several)) != several:
        several = more
    return Value(
        several | (Shape.EMPTY if value.may_be(Shape.NO_ITEMS) else NOTHING),
        longest=value.most * (each.printed + separator.longest),
    )


FILTERS: Mapping[str, Filter] = {
    "fallback": Filter(_fallback, _from_fallback, (object,), usage='fallback("text")', stands_in=True),
    "default": Filter(
        _default, _from_default, (object, bool), optional=1, usage='default("text", true)', stands_in=True
    ),
    "number": Filter(_number, _from_number, (int,), usage="number(0)", stands_in=True),
    "round": Filter(_round, _from_round, (int,), optional=1, between=(0, 6), usage="round(2)"),
    "upper": Filter(_keeping(str.upper), _in_case, usage="upper"),
    "lower": Filter(_keeping(str.lower), _in_case, usage="lower"),
    "capitalize": Filter(_keeping(str.capitalize), _in_case, usage="capitalize"),
    "title": Filter(_keeping(_title), _in_case, usage="title"),
    "trim": Filter(_keeping(str.strip), _from_trim, usage="trim"),
    "truncate": Filter(_keeping(_cut), _from_truncate, (int,), usage="truncate(20)"),
    "replace": Filter(_replace, _from_replace, (str, str), usage='replace("old", "new")'),
    "length": Filter(_length, _from_length, usage="length"),
    "first": Filter(_first, _from_one, usage="first"),
    "last": Filter(_last, _from_one, usage="last"),
    "batch": Filter(_batch, _from_batch, (int,), between=(1, 24), usage="batch(2)"),
    "join": Filter(_join, _from_join, (str, str), optional=2, usage='join(", ")'),
}
"""By name. Nothing else can be used in a template."""

TESTS: Mapping[str, Test] = {
    "string": Test(lambda value: isinstance(value, str), TEXT),
    "number": Test(lambda value: type(value) in (int, float), NUMBERS),
    "boolean": Test(lambda value: type(value) is bool, YES_NO),
    "none": Test(lambda value: value is None, Shape.NONE),
    "defined": Test(lambda value: value is not None, ~Shape.NONE),
    "odd": Test(lambda value: value % 2 == 1, numbers=True),
    "even": Test(lambda value: value % 2 == 0, numbers=True),
    "divisibleby": Test(lambda value, by: value % by == 0, numbers=True, argument=True),
}
"""By name, as in `is string`. A missing value is None, so `defined` holds for what is there."""
