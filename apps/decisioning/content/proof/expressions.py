"""Expressions: the shapes that each may have, where it stands."""

from abc import abstractmethod
from dataclasses import replace
from typing import Final

from jinja2 import nodes

from apps.decisioning.content.contracts import SYSTEM_LINKS
from apps.decisioning.content.filters import FILTERS, Filter
from apps.decisioning.content.shapes import (
    LISTS,
    NUMBERS,
    REFUSED,
    TEXT,
    TRUE_OR_FALSE,
    YES_NO,
    Shape,
    Value,
    joined,
    list_of,
    texts_joined,
    value_of_literal,
)

from .allowed import path_of
from .conditions import Conditions
from .state import State

_KNOWN: Final = (
    "use profile.NAME, slots.NAME.items, links.unsubscribe, links.preferences, in system mail "
    f"{', '.join(f'links.{name}' for name in SYSTEM_LINKS)}, a name that is set before on every "
    "path, or in a loop an item's sku, title, price, text, url, image_url"
)
_MAX_TOP: Final = 24


class Expressions(Conditions):
    """The part of the analysis that follows values."""

    @abstractmethod
    def called(self, node: nodes.Call, state: State) -> Value:
        """What a macro gives back."""

    def value(self, node: nodes.Node, state: State) -> Value:
        """What an expression may be there."""
        self.ledger.step(node)
        match node:
            case nodes.Const():
                return self.ledger.made(node, value_of_literal(node.value))
            case nodes.Name():
                return self._name(node, state)
            case nodes.Getattr():
                return self._field(node, state)
            case nodes.Getitem():
                return self._top(node, state)
            case nodes.Filter():
                return self.ledger.made(node, self._filtered(node, state))
            case nodes.CondExpr():
                return self._either(node, state)
            case nodes.And() | nodes.Or():
                return self.chosen(node, state)
            case nodes.Not() | nodes.Compare() | nodes.Test():
                self.condition(node, state)
                return TRUE_OR_FALSE
            case nodes.Concat():
                return self.ledger.made(node, self._texts(node, state))
            case nodes.List() | nodes.Tuple():
                return self._list(node, state)
            case nodes.Neg() | nodes.Pos() | nodes.BinExpr():
                return self.ledger.made(node, self._arithmetic(node, state))
            case nodes.Call():
                return self.called(node, state)
        return self.ledger.refuse(node, "can't stand here")

    def usable(self, node: nodes.Node, state: State) -> Value:
        """A value that can be kept under a name or handed to a macro."""
        value = self.value(node, state)
        if value.may_be(Shape.RECORD | Shape.ID):
            return self.ledger.refuse(node, "can't be used as a value: name one of its fields")
        return value

    # --- names and fields ---

    def _name(self, node: nodes.Name, state: State) -> Value:
        if node.name in state.names:
            return state.names[node.name]
        if node.name in state.macros:
            return self.ledger.refuse(node, f"({node.name}) is a macro: call it, {node.name}(…)")
        return self.ledger.refuse(node, f"({node.name}) is not known here: {_KNOWN}")

    def _field(self, node: nodes.Getattr, state: State) -> Value:
        path = path_of(node)
        base = self.value(node.node, state)
        if base.refused:
            return REFUSED
        value = base.field_named(node.attr)
        if value is None or not base.is_only(Shape.RECORD | Shape.ITEM | Shape.NONE):
            return self.ledger.refuse(node, f"({'.'.join(path) or node.attr}) is not known here: {_KNOWN}")
        if len(path) == 2 and path[0] == "profile":
            self.ledger.tokens.add(node.attr)
        return joined([value, Value(Shape.NONE)]) if base.may_be(Shape.NONE) else value

    def _top(self, node: nodes.Getitem, state: State) -> Value:
        """`list[:3]`."""
        cut = node.arg
        value = self.value(node.node, state)
        if value.refused:
            return value
        stop = cut.stop if isinstance(cut, nodes.Slice) and cut.start is None and cut.step is None else None
        if not isinstance(stop, nodes.Const) or type(stop.value) is not int or not 1 <= stop.value <= _MAX_TOP:
            return self.ledger.refuse(node, f"takes the first items only: [:3], with a number from 1 to {_MAX_TOP}")
        if not value.is_only(LISTS):
            return self.ledger.refuse(node, "only lists can be cut with [:3]: of a text | truncate(20)")
        return replace(value, most=min(value.most, stop.value))

    # --- choices ---

    def _either(self, node: nodes.CondExpr, state: State) -> Value:
        when_true, when_false = self.condition(node.test, state)
        first = self.value(node.expr1, when_true)
        if node.expr2 is None:
            return self.ledger.refuse(node, "needs an else: {{ this if condition else that }}")
        return joined([first, self.value(node.expr2, when_false)])

    # --- what is put together ---

    def _texts(self, node: nodes.Concat, state: State) -> Value:
        parts = [self.value(part, state) for part in node.nodes]
        for part, value in zip(node.nodes, parts, strict=True):
            if not value.is_only(TEXT | NUMBERS):
                return self.ledger.refuse(
                    node, f"{_named(part)} joins texts and numbers only, and this may be none: give it a fallback"
                )
        return texts_joined(parts)

    def _list(self, node: nodes.List | nodes.Tuple, state: State) -> Value:
        entries = [self.usable(entry, state) for entry in node.items]
        if not entries:
            return Value(Shape.NO_ITEMS)
        return list_of(joined(entries), len(entries), empty=False)

    def _arithmetic(self, node: nodes.Neg | nodes.Pos | nodes.BinExpr, state: State) -> Value:
        if isinstance(node, nodes.Neg | nodes.Pos):
            value = self.value(node.node, state)
            return Value(value.shapes, largest=value.largest) if self._numbers(node, value) else REFUSED
        left, right = self.value(node.left, state), self.value(node.right, state)
        if not self._numbers(node, left, right):
            return REFUSED
        if isinstance(node, nodes.Mul):
            return Value(NUMBERS, largest=left.largest * right.largest)
        if isinstance(node, nodes.Add | nodes.Sub):
            return Value(NUMBERS, largest=left.largest + right.largest)
        divisor = node.right.value if isinstance(node.right, nodes.Const) else 0
        if divisor < 1:
            return self.ledger.refuse(node, f"`{node.operator}` needs a number from 1 on the right, written out")
        return Value(NUMBERS, largest=left.largest + (right.largest if isinstance(node, nodes.Mod) else 1))

    def _numbers(self, node: nodes.Neg | nodes.Pos | nodes.BinExpr, *values: Value) -> bool:
        if all(value.is_only(NUMBERS) for value in values):
            return True
        self.ledger.refuse(node, f"`{node.operator}` is for numbers only, else not allowed: | number(0)")
        return False

    # --- filters ---

    def _filtered(self, node: nodes.Filter, state: State) -> Value:
        if node.node is None:
            return self.ledger.refuse(node, "a filter needs a value")
        value = self.value(node.node, state)
        entry = FILTERS[node.name]
        arguments = self._arguments(node, entry, state)
        if value.refused or arguments is None:
            return REFUSED
        if value.may_be(Shape.RECORD | Shape.ID):
            return self.ledger.refuse(node, "can't be printed, so no filter applies")
        made = entry.makes(value, *arguments)
        return self.ledger.refuse(node, f"{node.name} {made}") if isinstance(made, str) else made

    def _arguments(self, node: nodes.Filter, entry: Filter, state: State) -> list[object] | None:
        """What a filter is given: literals, or values that always show."""
        least = len(entry.arguments) - entry.optional
        if node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None:
            self.ledger.refuse(node, f"write | {entry.usage}: values in their order, no names and stars")
            return None
        if not least <= len(node.args) <= len(entry.arguments):
            self.ledger.refuse(node, f"write | {entry.usage}")
            return None
        given: list[object] = []
        for argument, kind in zip(node.args, entry.arguments, strict=False):
            literal = argument.value if isinstance(argument, nodes.Const) else None
            if kind is object:
                instead = self._instead(node, argument, state)
                if instead is None:
                    return None
                given.append(instead)
            elif type(literal) is not kind:
                self.ledger.refuse(node, f"write | {entry.usage}, with a literal")
                return None
            elif isinstance(literal, int) and kind is int and not entry.between[0] <= literal <= entry.between[1]:
                self.ledger.refuse(node, f"the number must be from {entry.between[0]} to {entry.between[1]}")
                return None
            else:
                given.append(literal)
        return given

    def _instead(self, node: nodes.Filter, argument: nodes.Expr, state: State) -> Value | None:
        value = self.value(argument, state)
        if value.refused:
            return None
        if value.proven:
            return value
        if isinstance(argument, nodes.Const) and not value.may_be(YES_NO):
            self.ledger.refuse(node, f"the {node.name} is blank itself: give a text that always fits")
        else:
            self.ledger.refuse(node, f'the {node.name} may be blank itself: end it with | fallback("…") too')
        return None


def _named(node: nodes.Node) -> str:
    path = path_of(node)
    return f"`~` ({'.'.join(path)})" if path else "`~`"
