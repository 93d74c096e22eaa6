"""Conditions: whether they can be asked, and what is known where they hold and where they don't."""

from abc import ABC, abstractmethod

from jinja2 import nodes

from apps.decisioning.content.filters import TESTS
from apps.decisioning.content.shapes import (
    ANY,
    FALSY,
    LISTS,
    NOTHING,
    NUMBERS,
    TEXT,
    TRUTHY,
    Shape,
    Value,
    joined,
    shapes_equal_to,
    shapes_wholly_equal_to,
)

from .allowed import path_of
from .ledger import Ledger
from .state import State, states_joined

_ORDERED = frozenset({"gt", "gteq", "lt", "lteq"})


class Conditions(ABC):
    """The part of the analysis that follows conditions."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    @abstractmethod
    def value(self, node: nodes.Node, state: State) -> Value:
        """What an expression may be there."""

    def condition(self, node: nodes.Node, state: State) -> tuple[State, State]:
        """What holds where a condition is true, and where it is false."""
        if isinstance(node, nodes.Not):
            when_true, when_false = self.condition(node.node, state)
            return when_false, when_true
        if isinstance(node, nodes.And):
            left, left_false = self.condition(node.left, state)
            right, right_false = self.condition(node.right, left)
            return right, states_joined(left_false, right_false)
        if isinstance(node, nodes.Or):
            left, left_false = self.condition(node.left, state)
            right, right_false = self.condition(node.right, left_false)
            return states_joined(left, right), right_false
        if isinstance(node, nodes.Compare):
            return self._comparison(node, state)
        if isinstance(node, nodes.Test):
            return self._test(node, state)
        self._asked(node, self.value(node, state))
        if isinstance(node, nodes.Filter) and node.name == "length" and isinstance(node.node, nodes.Expr):
            return self._counted(node.node, state), state
        path = path_of(node)
        return state.narrowed(path, TRUTHY), state.narrowed(path, FALSY)

    def chosen(self, node: nodes.And | nodes.Or, state: State) -> Value:
        """`and` and `or` as values: the first that decides, else the last."""
        when_true, when_false = self.condition(node.left, state)
        first = self.value(node.left, state)
        if isinstance(node, nodes.Or):
            decides, last = TRUTHY, self.value(node.right, when_false)
        else:
            decides, last = FALSY, self.value(node.right, when_true)
        return joined([first.only(decides), last]) if first.may_be(decides) else last

    def _asked(self, node: nodes.Node, value: Value) -> None:
        if value.may_be(Shape.RECORD):
            self.ledger.refuse(node, "can't be asked for as a whole: name one of its fields")

    # --- comparisons ---

    def _comparison(self, node: nodes.Compare, state: State) -> tuple[State, State]:
        self.ledger.step(node)
        value = self.value(node.expr, state)
        self._asked(node.expr, value)
        if len(node.ops) != 1:
            self.ledger.refuse(node, "compare two values at a time, joined with `and`")
            return state, state
        operator, other = node.ops[0].op, node.ops[0].expr
        if operator in ("in", "notin"):
            equal, unequal = self._in(node, value, other, state)
            return (equal, unequal) if operator == "in" else (unequal, equal)
        right = self.value(other, state)
        self._asked(other, right)
        if operator in _ORDERED:
            if not (value.is_only(NUMBERS) and right.is_only(NUMBERS)):
                self.ledger.refuse(node, "only numbers can be ordered: write profile.NAME | number(0)")
            return self._ordered(node.expr, operator, other, state)
        if isinstance(node.expr, nodes.Const) and not isinstance(other, nodes.Const):
            equal, unequal = self._equal(other, right, node.expr.value, state)
            return (equal, unequal) if operator == "eq" else (unequal, equal)
        if isinstance(other, nodes.Const):
            if _is_count(node.expr):
                return self._ordered(node.expr, operator, other, state)
            equal, unequal = self._equal(node.expr, value, other.value, state)
            return (equal, unequal) if operator == "eq" else (unequal, equal)
        return state, state

    def _equal(self, node: nodes.Node, value: Value, literal: object, state: State) -> tuple[State, State]:
        """Where a value equals a literal, and where it doesn't. HTML is compared with its tags, so it tells nothing."""
        path = path_of(node)
        if value.markup:
            return state, state
        return (
            state.narrowed(path, shapes_equal_to(literal)),
            state.narrowed(path, ANY & ~shapes_wholly_equal_to(literal)),
        )

    def _in(self, node: nodes.Compare, value: Value, other: nodes.Node, state: State) -> tuple[State, State]:
        if isinstance(other, nodes.List | nodes.Tuple) and all(isinstance(e, nodes.Const) for e in other.items):
            literals = [entry.value for entry in other.items if isinstance(entry, nodes.Const)]
            equal, wholly = NOTHING, NOTHING
            for literal in literals:
                equal |= shapes_equal_to(literal)
                wholly |= shapes_wholly_equal_to(literal)
            path = path_of(node.expr)
            if value.markup or not literals:
                return state, state
            return state.narrowed(path, equal), state.narrowed(path, ANY & ~wholly)
        within = self.value(other, state)
        if not (within.is_only(LISTS) or (within.is_only(TEXT) and value.is_only(TEXT))):
            self.ledger.refuse(
                node, 'write the values as a list: in ["DE", "AT"]; text is looked for in what `is string` only'
            )
        return state, state

    def _ordered(self, node: nodes.Node, operator: str, other: nodes.Node, state: State) -> tuple[State, State]:
        """A count that is above 0 tells that there is something."""
        number = other.value if isinstance(other, nodes.Const) else None
        if not isinstance(node, nodes.Filter) or not _is_count(node) or node.node is None or type(number) is not int:
            return state, state
        some_when_true = {"gt": number >= 0, "gteq": number >= 1, "eq": number >= 1, "ne": number == 0}
        some_when_false = {"lt": number >= 1, "lteq": number >= 0, "eq": number == 0, "ne": number >= 1}
        counted = self._counted(node.node, state)
        return (
            counted if some_when_true.get(operator) else state,
            counted if some_when_false.get(operator) else state,
        )

    def _counted(self, node: nodes.Node, state: State) -> State:
        """Where the length of something is not 0."""
        return state.narrowed(path_of(node), Shape.ITEMS | TEXT & ~Shape.EMPTY)

    # --- tests ---

    def _test(self, node: nodes.Test, state: State) -> tuple[State, State]:
        self.ledger.step(node)
        value = self.value(node.node, state)
        self._asked(node.node, value)
        entry = TESTS[node.name]
        given = [argument.value if isinstance(argument, nodes.Const) else None for argument in node.args]
        fits = not given if not entry.argument else len(given) == 1 and type(given[0]) is int and 0 < given[0] <= 10_000
        if node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None or not fits:
            self.ledger.refuse(node, f"write is {node.name}{'(3), with a number above 0' if entry.argument else ''}")
        if entry.numbers and not value.is_only(NUMBERS):
            self.ledger.refuse(node, f"only numbers are {node.name}: write | number(0) before it")
        if entry.shapes is None:
            return state, state
        path = path_of(node.node)
        return (
            state.narrowed(path, entry.shapes | Shape.ID),
            state.narrowed(path, ANY & ~entry.shapes | Shape.ID),
        )


def _is_count(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Filter) and node.name == "length"
