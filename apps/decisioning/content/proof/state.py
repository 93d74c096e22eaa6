"""What holds at one point of a template: the value of each name there."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from jinja2 import nodes

from apps.decisioning.content.contracts import LINKS, SYSTEM_LINKS
from apps.decisioning.content.rendering import MAX_ITEMS, MAX_VALUE
from apps.decisioning.content.shapes import (
    ANY,
    NUMBERS,
    SHOWING,
    TRUE_OR_FALSE,
    YES_NO,
    Shape,
    Value,
    joined,
    list_of,
    number_value,
    text_value,
)

_MAX_LINK = 2_000  # of `links.py`
_TEXT = text_value(SHOWING, MAX_VALUE)
_LINK = text_value(Shape.SURE, _MAX_LINK)
LARGEST = 1e15
"""No number of a person or item is that far from 0."""

# What `rendering.context_plain` makes of whatever comes in.
_PROFILE = replace(_TEXT, shapes=Shape.NONE | YES_NO | NUMBERS | SHOWING, largest=LARGEST)
_TITLE = replace(_TEXT, shapes=NUMBERS | SHOWING, largest=LARGEST)
_DETAIL = replace(_TEXT, shapes=Shape.EMPTY | Shape.NUMBER | SHOWING, largest=LARGEST)
ITEM = Value(
    Shape.ITEM,
    fields={
        "sku": _DETAIL,
        "title": _TITLE,
        "price": _DETAIL,
        "text": _DETAIL,
        "url": _LINK,
        "image_url": replace(_LINK, shapes=Shape.EMPTY | Shape.SURE),
    },
)
_SLOT = Value(
    Shape.RECORD,
    fields={"block": Value(Shape.NONE | Shape.ID), "items": list_of(ITEM, MAX_ITEMS, empty=True)},
)
_ROOTS: Mapping[str, Value] = {
    "profile": Value(Shape.RECORD, other=_PROFILE),
    "slots": Value(Shape.RECORD, other=_SLOT),
    "links": Value(Shape.RECORD, fields=dict.fromkeys((*LINKS, *SYSTEM_LINKS), _LINK)),
}


def loop_value(most: int) -> Value:
    """What `loop` is in a loop of at most `most` turns."""
    count, rest = number_value(most, zero=False), number_value(most)
    return Value(
        Shape.RECORD,
        fields={
            "index": count,
            "index0": rest,
            "revindex": count,
            "revindex0": rest,
            "length": count,
            "first": TRUE_OR_FALSE,
            "last": TRUE_OR_FALSE,
        },
    )


@dataclass(frozen=True, slots=True)
class State:
    """names: values by name, the roots among them; macros: those that are defined there; targets: names of loop items
    and arguments, which keep their meaning.
    """

    names: Mapping[str, Value]
    macros: Mapping[str, nodes.Macro] = field(default_factory=dict)
    targets: frozenset[str] = frozenset()

    def with_name(self, name: str, value: Value) -> "State":
        """Where a name has a value."""
        return replace(self, names={**self.names, name: value})

    def roots_only(self) -> "State":
        """What a macro sees of it: nothing but the context."""
        return State({name: self.names[name] for name in _ROOTS})

    def narrowed(self, path: tuple[str, ...], shapes: Shape) -> "State":
        """Where what stands at a path is known to have one of these shapes."""
        if not path or path[0] not in self.names:
            return self
        value = self.names[path[0]]
        narrowed = _narrowed(value, path[1:], shapes)
        return self if narrowed is value else self.with_name(path[0], narrowed)


START = State(_ROOTS)


def _narrowed(value: Value, path: tuple[str, ...], shapes: Shape) -> Value:
    if not path:
        return value.only(shapes)
    inner = value.field_named(path[0])
    if inner is None:
        return value
    if not shapes & Shape.NONE:  # what is there is there of something
        value = value.only(ANY & ~Shape.NONE)
    narrowed = _narrowed(inner, path[1:], shapes)
    return value if narrowed is inner else replace(value, fields={**value.fields, path[0]: narrowed})


def states_joined(first: State, second: State) -> State:
    """Behind two paths that meet: names that both know, with what holds on both."""
    if first is second:
        return first
    return State(
        {
            name: value if second.names[name] is value else joined([value, second.names[name]])
            for name, value in first.names.items()
            if name in second.names
        },
        {name: macro for name, macro in first.macros.items() if second.macros.get(name) is macro},
        first.targets,
    )
