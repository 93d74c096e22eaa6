"""What the fallback proof knows of a value before any person is there: which shapes it may have, and how large it is.

Each value that a template can meet has exactly one shape; of an expression the proof knows the set of those that it
may have. Whatever narrows or widens the set (a condition, a filter, two branches that meet) is set arithmetic, and an
output is proven when no shape is left that would print nothing.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Flag, auto
from functools import cache, reduce
from html import escape
from unicodedata import category

from apps.foundation.core.text import is_blank, visible


class Shape(Flag):
    """One of these is the shape of a value."""

    NONE = auto()  # missing
    FALSE = auto()
    TRUE = auto()
    ZERO = auto()
    NUMBER = auto()  # any other, finite
    EMPTY = auto()  # the text of no characters
    BLANK = auto()  # a text that shows nothing, or is a word such as None
    SHOWN = auto()  # a text that shows, but could become such a word when joined to another: "no" and "ne"
    SURE = auto()  # a text that shows, whatever it is joined to
    NO_ITEMS = auto()  # an empty list
    ITEMS = auto()  # a list with something in it
    ITEM = auto()  # an item of a slot: its fields can be printed
    RECORD = auto()  # profile, slots, loop…: only their fields have a meaning
    ID = auto()  # the block of a slot: to compare with, not to print


NOTHING = Shape(0)
SHOWING = Shape.SHOWN | Shape.SURE
TEXT = Shape.EMPTY | Shape.BLANK | SHOWING
NUMBERS = Shape.ZERO | Shape.NUMBER
YES_NO = Shape.FALSE | Shape.TRUE
LISTS = Shape.NO_ITEMS | Shape.ITEMS
PRINTABLE = SHOWING | NUMBERS
ANY = reduce(Shape.__or__, Shape)
FALSY = Shape.NONE | Shape.FALSE | Shape.ZERO | Shape.EMPTY | Shape.NO_ITEMS | Shape.ID
TRUTHY = ANY & ~FALSY | Shape.ID

ESCAPED = 5
"""Characters that one can become in HTML (`&#34;`)."""
NUMBER_LENGTH = 40
_NOTHING_WORDS = ("none", "nan", "null", "undefined")  # what `core.text.is_blank` takes for nothing
_DROPPED = frozenset({"Cs", "Cn", "Co"})  # what `rendering.one_line` takes out of a line


# A visible ASCII character that is in none of those words: enough to know, and most text has one early.
_SURELY = re.compile(r"[!-@BCGHJKMP-TV-`bcghjkmp-tv-~]")


@dataclass(frozen=True, slots=True)
class Value:
    """shapes: those that it may have; longest: characters when printed, escaped; largest: of a number, without its
    sign; most, each: of a list, how many and what; fields, other: of a record or item, by name and for all other
    names; markup: it may be HTML already; refused: a problem was told, so nothing more is asked of it.
    """

    shapes: Shape
    longest: int = 0
    largest: float = 0
    most: int = 0
    each: "Value | None" = None
    fields: Mapping[str, "Value"] = field(default_factory=dict, hash=False)
    other: "Value | None" = None
    markup: bool = False
    refused: bool = False

    def may_be(self, shapes: Shape) -> bool:
        """Whether one of these shapes is possible."""
        return bool(self.shapes & shapes)

    def is_only(self, shapes: Shape) -> bool:
        """Whether no other shape is possible."""
        return not self.shapes & ~shapes

    @property
    def proven(self) -> bool:
        """Whether it can be printed, and is never blank."""
        return self.refused or self.is_only(PRINTABLE)

    @property
    def printed(self) -> int:
        """Characters at most, when it is printed."""
        return max(self.longest, NUMBER_LENGTH if self.may_be(NUMBERS) else 0)

    def field_named(self, name: str) -> "Value | None":
        """What a record or item holds under a name, None if it has no such field."""
        return self.fields.get(name, self.other)

    def only(self, shapes: Shape) -> "Value":
        """It, known to have one of these shapes; as it is where that can't be (what stands there is never reached)."""
        left = self.shapes & shapes
        return replace(self, shapes=left) if left and left != self.shapes else self


REFUSED = Value(PRINTABLE, refused=True)
TRUE_OR_FALSE = Value(YES_NO)


def text_value(shapes: Shape, longest: int) -> Value:
    """A text of at most `longest` characters before it is escaped."""
    return Value(shapes, longest=longest * ESCAPED)


def number_value(largest: float, *, zero: bool = True) -> Value:
    """A number that is at most so far from 0."""
    return Value(NUMBERS if zero else Shape.NUMBER, largest=largest)


def list_of(each: Value, most: int, *, empty: bool) -> Value:
    """A list of at most `most` of these."""
    return Value((Shape.NO_ITEMS if empty else NOTHING) | (Shape.ITEMS if most else NOTHING), most=most, each=each)


def joined(values: Iterable[Value]) -> Value:
    """What is one of these values, one cannot know which."""
    return reduce(_either, values)


def _either(a: Value, b: Value) -> Value:
    if a is b or a.refused or b.refused:
        return b if b.refused else a
    fields: Mapping[str, Value] = a.fields or b.fields
    if a.fields and b.fields and a.fields is not b.fields:
        fields = {
            name: _either(left, right)
            for name in {**a.fields, **b.fields}
            if (left := a.field_named(name)) is not None and (right := b.field_named(name)) is not None
        }
    elif a.other is not None or b.other is not None:
        fields = a.fields if a.fields is b.fields else {}  # the other side may hold anything under these names
    return Value(
        a.shapes | b.shapes,
        longest=max(a.longest, b.longest),
        largest=max(a.largest, b.largest),
        most=max(a.most, b.most),
        each=_either(a.each, b.each) if a.each and b.each else a.each or b.each,
        fields=fields,
        other=a.other or b.other,
        markup=a.markup or b.markup,
    )


def shapes_of_text(text: str) -> Shape:
    """The shape of a text; two where a subject may lose all that shows of it."""
    if not text:
        return Shape.EMPTY
    if _SURELY.search(text):
        return Shape.SURE
    if is_blank(text):
        return Shape.BLANK
    kept = "".join(c for c in text if category(c) not in _DROPPED)
    if is_blank(kept):
        return Shape.BLANK | Shape.SHOWN
    seen = visible(kept).casefold()
    return Shape.SHOWN if any(seen in word for word in _NOTHING_WORDS) else Shape.SURE


def value_of_literal(literal: object) -> Value:
    """A literal of a template as a value. Raises TypeError for a kind that templates don't know."""
    if literal is None:
        return Value(Shape.NONE)
    if isinstance(literal, bool):
        return Value(Shape.TRUE if literal else Shape.FALSE)
    if isinstance(literal, int | float):
        return Value(Shape.NUMBER if literal else Shape.ZERO, largest=abs(literal))
    if isinstance(literal, str):
        return Value(shapes_of_text(literal), longest=len(escape(literal)))
    raise TypeError(f"{type(literal).__name__} is no literal of a template")


def shapes_equal_to(literal: object) -> Shape:
    """The shapes of what is `==` to a literal: True equals 1, and False 0."""
    if literal == 1:
        return Shape.NUMBER | Shape.TRUE
    if literal == 0:
        return Shape.ZERO | Shape.FALSE
    return value_of_literal(literal).shapes | (Shape.ID if isinstance(literal, str) else NOTHING)


def shapes_wholly_equal_to(literal: object) -> Shape:
    """The shapes of which every value is `==` to a literal: known to be gone where it is not."""
    if literal is None:
        return Shape.NONE
    if literal == "":
        return Shape.EMPTY
    if literal is True or literal == 1:
        return Shape.TRUE
    return Shape.ZERO | Shape.FALSE if literal == 0 else NOTHING


@cache
def shapes_after(first: Shape, second: Shape) -> Shape:
    """The shapes of a text of these shapes with one of those behind it."""
    both = NOTHING
    for a in first:
        for b in second:
            both |= _pair_after(a, b)
    return both


def _pair_after(a: Shape, b: Shape) -> Shape:
    if Shape.SURE in (a, b):
        return Shape.SURE
    if Shape.EMPTY in (a, b):
        return b if a is Shape.EMPTY else a
    if a is b is Shape.SHOWN:
        return Shape.SHOWN | Shape.BLANK | Shape.SURE
    return Shape.SHOWN | Shape.BLANK | Shape.SURE if a is b else Shape.SHOWN | Shape.SURE


def shapes_as_text(shapes: Shape) -> Shape:
    """The shapes of a value once it is written out: a number always shows."""
    return shapes & TEXT | (Shape.SURE if shapes & ~TEXT else NOTHING)


def texts_joined(values: Collection[Value]) -> Value:
    """Texts and numbers, written one behind the other."""
    shapes = reduce(shapes_after, (shapes_as_text(value.shapes) for value in values), Shape.EMPTY)
    markup = any(value.markup for value in values)
    return Value(shapes, longest=sum(value.printed for value in values), markup=markup)
