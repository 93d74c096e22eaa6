"""Statements: branches that meet, loops, names, macros, and what all of them print."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from jinja2 import nodes

from apps.decisioning.content.shapes import (
    LISTS,
    PRINTABLE,
    REFUSED,
    SHOWING,
    YES_NO,
    Shape,
    Value,
    shapes_as_text,
    shapes_of_text,
)

from .allowed import NAME, RESERVED, path_of
from .expressions import Expressions
from .ledger import Cost, Ledger, Printed
from .marks import UNSEEN
from .state import ITEM, State, loop_value, states_joined

_FOR: Final = "{% for … %}"
_SET: Final = "{% set … %}"
_MACRO: Final = "{% macro … %}"
_MAX_CALLS: Final = 8
_MAX_ROUNDS: Final = 5


class Statements(Expressions):
    """The part of the analysis that follows statements."""

    def __init__(self, ledger: Ledger, tree: nodes.Template) -> None:
        super().__init__(ledger)
        macros = list(tree.find_all(nodes.Macro))
        self._defined = Counter(macro.name for macro in macros)
        self._within: list[str] = []
        self._deep: dict[int, int] = {}
        self._results: dict[object, tuple[Value, Cost]] = {}
        self._nested = 0
        called = {call.node.name for call in tree.find_all(nodes.Call) if isinstance(call.node, nodes.Name)}
        for macro in macros:
            if macro.name not in called:
                ledger.refuse(macro, f"the macro {macro.name} is never used: remove it", _MACRO)

    def body(self, statements: Sequence[nodes.Node], state: State) -> tuple[State, Printed]:
        """Walk statements in order: the state behind them, and what they print."""
        printed = Printed()
        for statement in statements:
            self.ledger.step(statement)
            match statement:
                case nodes.Output():
                    more = self._output(statement, state)
                case nodes.If():
                    state, more = self._branches(statement, state)
                case nodes.For():
                    state, more = self._loop(statement, state)
                case nodes.Assign():
                    state, more = self._assign(statement, state), Printed()
                case nodes.AssignBlock():
                    state, more = self._assign_block(statement, state), Printed()
                case nodes.Macro():
                    state, more = self._macro(statement, state), Printed()
                case _:
                    self.ledger.refuse(statement, "can't stand here")
                    more = Printed()
            printed = printed.then(more)
        return state, printed

    # --- what is printed ---

    def _output(self, node: nodes.Output, state: State) -> Printed:
        printed = Printed()
        for part in node.nodes:
            if isinstance(part, nodes.TemplateData):
                shapes = shapes_of_text(part.data.rstrip(UNSEEN))
                if shapes is Shape.EMPTY or shapes is Shape.BLANK:  # white space may be taken away
                    shapes = Shape.EMPTY | Shape.BLANK
                value = Value(shapes, longest=len(part.data))
                printed = printed.then(Printed(value.shapes, value.longest, something=value.is_only(SHOWING)))
                self.ledger.made(node, value)
                continue
            value = self.value(part, state)
            hidden = self.ledger.in_a_tag(part)
            if not value.refused and self._fit(part, value, hidden=hidden):
                shapes = Shape.EMPTY if hidden else shapes_as_text(value.shapes)
            else:
                shapes = Shape.SURE
            self.ledger.made(part, replace(value, longest=value.printed))
            paths = frozenset({".".join(path_of(part))} - {""})
            printed = printed.then(Printed(shapes, value.printed, paths, something=not hidden))
        return printed

    def _fit(self, node: nodes.Expr, value: Value, *, hidden: bool) -> bool:
        """Whether a value may be printed there."""
        if value.is_only(PRINTABLE):
            if hidden and value.markup:
                self.ledger.refuse(node, "can't stand in an attribute: a macro or set block made it, with tags perhaps")
                return False
            return True
        if not value.may_be(PRINTABLE) and not value.is_only(Shape.EMPTY | Shape.BLANK | Shape.NONE):
            self.ledger.refuse(node, "can't be printed")
        elif value.may_be(Shape.ITEM | LISTS | Shape.RECORD | Shape.ID):
            self.ledger.refuse(node, "can't be printed: it may be a list or an item")
        elif value.is_only(PRINTABLE | YES_NO):
            self.ledger.refuse(
                node, 'may be yes or no, which can\'t be printed (it may be blank then): end it with | fallback("…")'
            )
        elif value.may_be(Shape.SURE) and value.is_only(SHOWING | Shape.BLANK):
            mend = 'may be blank ("no" and "ne" read "none"): put a sign between its parts, or add | fallback("…")'
            self.ledger.refuse(node, mend)
        else:
            self.ledger.refuse(node, 'may be blank: end it with | fallback("a text that always fits")')
        return False

    # --- branches and loops ---

    def _branches(self, node: nodes.If, state: State) -> tuple[State, Printed]:
        ends: list[tuple[State, Printed]] = []
        costs: list[Cost] = []
        for branch in (node, *node.elif_):
            when_true, state = self.condition(branch.test, state)
            before = self.ledger.cost
            ends.append(self.body(branch.body, when_true))
            costs.append(self.ledger.cost)
            self.ledger.cost = before
        ends.append(self.body(node.else_, state))
        # Behind the branches holds what held at the end of each of them.
        state, printed = ends[0]
        for end, more in ends[1:]:
            state, printed = states_joined(state, end), printed.either(more)
        for cost in costs:
            self.ledger.cost = self.ledger.cost.or_(cost)
        return state, printed

    def _loop(self, node: nodes.For, state: State) -> tuple[State, Printed]:
        goods = self.value(node.iter, state)
        if not goods.refused and not goods.is_only(LISTS):
            self.ledger.refuse(node, "a loop goes over slots.NAME.items or a list that is written out", _FOR)
            goods = REFUSED
        name = self._new_name(node, state)
        if name is None:
            return state, Printed()
        if node.test is not None or node.recursive:
            self.ledger.refuse(node, "a loop takes no condition and is not recursive: put an if inside", _FOR)
        if goods.may_be(Shape.NO_ITEMS) and not node.else_:
            path = ".".join(path_of(node.iter)) or "the list"
            mend = f"may have no items: add {{% else %}} with a text, or put it into {{% if {path} %}}"
            self.ledger.refuse(node, mend, _FOR)
        each = ITEM if goods.refused else goods.each or REFUSED
        most = max(goods.most, 1)
        inside = replace(
            state.with_name(name, each).with_name("loop", loop_value(most)), targets=state.targets | {name}
        )
        printed = self._turns(node, inside, most)
        instead = Printed()
        if node.else_:
            outside = replace(state, names={key: value for key, value in state.names.items() if key != "loop"})
            instead = self._nesting(node.else_, outside)[1]
        if not goods.may_be(Shape.NO_ITEMS) or goods.refused:
            instead = printed
        return state, printed.either(instead)

    def _turns(self, node: nodes.For, state: State, most: int) -> Printed:
        """The body of a loop: what holds where it begins must hold whether or not a turn is told of the one before."""
        before, turns = self.ledger.cost, self.ledger.turns
        start = state
        for rounds in range(_MAX_ROUNDS):
            self.ledger.cost, self.ledger.turns = before, turns * most
            end, printed = self._nesting(node.body, start)
            self.ledger.turns = turns
            carried = {name: value for name, value in end.names.items() if name not in ("loop", *state.targets)}
            again = states_joined(start, replace(start, names={**start.names, **_known(carried, start)}))
            if again.names == start.names:
                break
            start = again
            if rounds == _MAX_ROUNDS - 1:
                self.ledger.refuse(node, "a name grows with each turn of the loop: set it anew in each", _FOR)
        return printed.times(most)

    def _nesting(self, statements: Sequence[nodes.Node], state: State) -> tuple[State, Printed]:
        """Statements with names of their own, in which no macro can be defined."""
        self._nested += 1
        try:
            return self.body(statements, state)
        finally:
            self._nested -= 1

    def _new_name(self, node: nodes.For, state: State) -> str | None:
        target = node.target
        if not isinstance(target, nodes.Name) or not self._free(target.name) or target.name in state.names:
            self.ledger.refuse(node, "name the item of the loop with a new, single name", _FOR)
            return None
        return target.name

    # --- names ---

    def _free(self, name: str) -> bool:
        return NAME.fullmatch(name) is not None and name not in RESERVED and name not in self._defined

    def _settable(self, node: nodes.Assign | nodes.AssignBlock, state: State) -> str | None:
        target = node.target
        if not isinstance(target, nodes.Name) or not NAME.fullmatch(target.name):
            self.ledger.refuse(node, "`set` gives one plain name a value", _SET)
            return None
        if not self._free(target.name) or target.name in state.targets:
            self.ledger.refuse(node, f"{target.name} has a meaning already: take another name", _SET)
            return None
        return target.name

    def _assign(self, node: nodes.Assign, state: State) -> State:
        name = self._settable(node, state)
        value = self.usable(node.node, state)
        return state if name is None else state.with_name(name, value)

    def _assign_block(self, node: nodes.AssignBlock, state: State) -> State:
        name = self._settable(node, state)
        if node.filter is not None:
            self.ledger.refuse(node, "`set` over a block takes no filter: put it into the output", _SET)
        _, printed = self._nesting(node.body, state)
        return state if name is None else state.with_name(name, _made(printed))

    # --- macros ---

    def _macro(self, node: nodes.Macro, state: State) -> State:
        if self._nested:
            self.ledger.refuse(node, "define macros outside of loops, set blocks and other macros", _MACRO)
        names = [argument.name for argument in node.args]
        for name in (node.name, *names):
            if not NAME.fullmatch(name) or name in RESERVED:
                self.ledger.refuse(node, f"{name} has a meaning already: take another name", _MACRO)
                return state
        if len(set(names)) < len(names) or any(name in self._defined for name in names) or node.name in state.names:
            self.ledger.refuse(node, f"name the macro {node.name} and its arguments each in its own way", _MACRO)
            return state
        calls = [call.node.name for call in node.find_all(nodes.Call) if isinstance(call.node, nodes.Name)]
        deep = 1 + max((self._deep[id(state.macros[name])] for name in calls if name in state.macros), default=0)
        if deep > _MAX_CALLS:
            self.ledger.refuse(node, f"macros call each other at most {_MAX_CALLS} deep", _MACRO)
        self._deep[id(node)] = deep
        return replace(state, macros={**state.macros, node.name: node})

    def called(self, node: nodes.Call, state: State) -> Value:
        """What a macro gives back: its body is followed anew with what it is called with."""
        name = node.node.name if isinstance(node.node, nodes.Name) else ""
        macro = state.macros.get(name) if name not in state.names else None
        if name in self._within:
            return self.ledger.refuse(node, f"the macro {name} can't call itself")
        if macro is None:
            mend = f"({name}) can't be called: only a macro that is defined above, on every path; or use a filter"
            return self.ledger.refuse(node, mend)
        if self._within and self._defined[name] > 1:
            return self.ledger.refuse(node, f"the macro {name} is defined twice: give each its own name")
        given = self._given(node, macro, state)
        if given is None:
            return REFUSED
        # It sees the context, its arguments, and the macros above it.
        inside = state.roots_only()
        first_default = len(macro.args) - len(macro.defaults)
        for place, argument in enumerate(macro.args):
            value = given.get(argument.name)
            if value is None:
                value = self.usable(macro.defaults[place - first_default], inside)
            inside = inside.with_name(argument.name, value)
        above = {other: kept for other, kept in state.macros.items() if kept.lineno < macro.lineno}
        value, cost = self._result(macro, replace(inside, macros=above))
        self.ledger.spend(node, cost)
        return self.ledger.made(node, value)

    def _result(self, macro: nodes.Macro, inside: State) -> tuple[Value, Cost]:
        """What a macro gives back and costs; followed once for the same arguments."""
        key = (id(macro), tuple(inside.names.items()))
        if key not in self._results:
            before, turns = self.ledger.cost, self.ledger.turns
            self.ledger.cost, self.ledger.turns = Cost(), 1
            self._within.append(macro.name)
            _, printed = self._nesting(macro.body, inside)
            self._within.pop()
            self._results[key] = _made(printed), self.ledger.cost
            self.ledger.cost, self.ledger.turns = before, turns
        return self._results[key]

    def _given(self, node: nodes.Call, macro: nodes.Macro, state: State) -> dict[str, Value] | None:
        """The arguments of a call by name; None when they don't fit."""
        names = [argument.name for argument in macro.args]
        usage = f"call it as {macro.name}({', '.join(names)})"
        if node.dyn_args is not None or node.dyn_kwargs is not None or len(node.args) > len(names):
            self.ledger.refuse(node, usage)
            return None
        given = {name: self.usable(argument, state) for name, argument in zip(names, node.args, strict=False)}
        for keyword in node.kwargs:
            if keyword.key not in names or keyword.key in given:
                self.ledger.refuse(node, usage)
                return None
            given[keyword.key] = self.usable(keyword.value, state)
        missing = [name for name in names[: len(names) - len(macro.defaults)] if name not in given]
        if missing:
            self.ledger.refuse(node, f"{usage}: {', '.join(missing)} is missing")
            return None
        return given


def _made(printed: Printed) -> Value:
    """What a macro or set block printed, as a value: text that is escaped already."""
    return Value(printed.shapes, longest=printed.longest, markup=True)


def _known(carried: dict[str, Value], start: State) -> dict[str, Value]:
    return {name: value for name, value in carried.items() if name in start.names}
