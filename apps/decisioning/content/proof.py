"""The fallback proof: an analysis of a template's Jinja tree that shows that no output can be blank.

It follows values, not spellings: an output is fine when its value is proven on every path that leads to it. What it
can't show, and every construct that it doesn't know, is refused with its place and how to mend it. It relies on
what `rendering.context_plain` makes true of a context:

- profile values may be missing, so each needs `fallback` (or `number`) as its last step that could leave it blank;
- `title` and `url` of an item are never blank; its `sku`, `price` and `image_url` are not where a condition
  found them there;
- both links are never blank.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from jinja2 import TemplateSyntaxError, nodes

from apps.foundation.core.text import is_blank

from .contracts import Problem
from .filters import FILTERS, Filter
from .pieces import LineMap, Piece
from .rendering import HTML

LINKS = frozenset({"unsubscribe", "preferences"})
ITEM_FIELDS = frozenset({"sku", "title", "price", "url", "image_url"})
_ITEM_ALWAYS = frozenset({"title", "url"})
_LOOP_FIELDS = frozenset({"index", "first", "last"})
_ROOTS = frozenset({"profile", "slots", "links", "loop", "true", "false", "none", "True", "False", "None"})
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ORDERED = frozenset({"gt", "gteq", "lt", "lteq"})

_FORBIDDEN = {
    nodes.Macro: "macros are not allowed: write the text where it is shown",
    nodes.CallBlock: "call blocks are not allowed",
    nodes.Include: "includes are not allowed: use a slot",
    nodes.Import: "imports are not allowed",
    nodes.FromImport: "imports are not allowed",
    nodes.Extends: "one template can't extend another: use slots",
    nodes.Block: "blocks of Jinja are not allowed: use a slot",
    nodes.With: "`with` is not allowed: use `set`",
    nodes.FilterBlock: "filter blocks are not allowed: put the filter into the output",
    nodes.AssignBlock: "`set` over a block is not allowed: write {% set name = value %}",
    nodes.Scope: "autoescaping can't be changed",
    nodes.ScopedEvalContextModifier: "autoescaping can't be changed",
    nodes.EvalContextModifier: "autoescaping can't be changed",
    nodes.Call: "nothing can be called: use a filter",
    nodes.Getitem: "write a dot and a name, not square brackets",
    nodes.Concat: "`~` is not allowed: write the parts next to each other",
    nodes.Or: '`or` does not catch what is blank: use | fallback("…")',
    nodes.Test: "`is` is not allowed: a missing value is simply false in a condition",
    nodes.Mod: "`%` is not allowed",
}


@dataclass(frozen=True, slots=True)
class _Value:
    """proven: never blank; number: surely a number; printable: may stand in an output."""

    proven: bool
    number: bool = False
    printable: bool = True


_UNKNOWN = _Value(proven=False)
_REFUSED = _Value(proven=True, number=True)  # a problem was told already; not a second one for the same


@dataclass(frozen=True, slots=True)
class _State:
    """What holds at one point: values of names that were set, names of loop items, and paths known not to be blank."""

    names: dict[str, _Value]
    items: frozenset[str] = frozenset()
    found: frozenset[str] = frozenset()

    def knowing(self, paths: frozenset[str]) -> "_State":
        return replace(self, found=self.found | paths) if paths else self


@dataclass(slots=True)
class Proof:
    """problems: why it is refused, none if proven; tokens: profile values that it uses, sorted; always: paths that
    are printed whatever the person and the slots are (`links.unsubscribe`); readable: whether Jinja can parse it.
    """

    problems: list[Problem] = field(default_factory=list)
    tokens: tuple[str, ...] = ()
    always: frozenset[str] = frozenset()
    readable: bool = True


def proof_of(pieces: Sequence[Piece]) -> Proof:
    """Analyse the outputs and statements among `pieces`."""
    lines = LineMap(pieces)
    try:
        tree = HTML.parse(lines.source)
    except TemplateSyntaxError as error:
        return Proof([lines.problem(error.lineno, "", f"is not understood: {error.message}")], readable=False)
    except (RecursionError, ValueError, OverflowError, MemoryError):
        mend = "is nested too deeply or holds a number that is too long: simplify it"
        return Proof([lines.problem(1, "", mend)], readable=False)
    analysis = _Analysis(lines)
    try:
        _, always = analysis.body(tree.body, _State({}))
    except RecursionError:
        return Proof([lines.problem(1, "", "is nested too deeply: simplify it")], readable=False)
    return Proof(analysis.problems, tuple(sorted(analysis.tokens)), always)


def path_of(node: nodes.Node) -> tuple[str, ...]:
    """`a.b.c` as its names; () for anything else."""
    names: list[str] = []
    while isinstance(node, nodes.Getattr):
        names.append(node.attr)
        node = node.node
    return (node.name, *reversed(names)) if isinstance(node, nodes.Name) else ()


class _Analysis:
    def __init__(self, lines: LineMap) -> None:
        self._lines = lines
        self.problems: list[Problem] = []
        self.tokens: set[str] = set()

    def refuse(self, node: nodes.Node, mend: str, token: str = "") -> _Value:
        problem = self._lines.problem(node.lineno or 1, token, mend)
        if problem not in self.problems:
            self.problems.append(problem)
        return _REFUSED

    def unknown(self, node: nodes.Node) -> _Value:
        for kind, mend in _FORBIDDEN.items():
            if isinstance(node, kind):
                return self.refuse(node, mend)
        return self.refuse(node, f"{type(node).__name__} is not allowed here: use outputs, if, for and set")

    # --- statements ---

    def body(self, statements: Sequence[nodes.Node], state: _State) -> tuple[_State, frozenset[str]]:
        """Walk statements in order: the state behind them, and the paths that they always print."""
        always: frozenset[str] = frozenset()
        for statement in statements:
            state, printed = self.statement(statement, state)
            always |= printed
        return state, always

    def statement(self, node: nodes.Node, state: _State) -> tuple[_State, frozenset[str]]:
        if isinstance(node, nodes.Output):
            return state, self.output(node, state)
        if isinstance(node, nodes.If):
            return self.branches(node, state)
        if isinstance(node, nodes.For):
            return self.loop(node, state)
        if isinstance(node, nodes.Assign):
            return self.assign(node, state), frozenset()
        self.unknown(node)
        return state, frozenset()

    def output(self, node: nodes.Output, state: _State) -> frozenset[str]:
        printed = set()
        for part in node.nodes:
            if isinstance(part, nodes.TemplateData):
                continue
            value = self.value(part, state)
            if not value.printable:
                self.refuse(part, "can't be printed")
            elif not value.proven:
                self.refuse(part, 'may be blank: end it with | fallback("a text that always fits")')
            printed.add(".".join(path_of(part)))
        return frozenset(printed)

    def branches(self, node: nodes.If, state: _State) -> tuple[_State, frozenset[str]]:
        ends: list[_State] = []
        prints: list[frozenset[str]] = []
        for branch in (node, *node.elif_):
            when_true, when_false = self.condition(branch.test, state)
            end, printed = self.body(branch.body, state.knowing(when_true))
            ends.append(end)
            prints.append(printed)
            state = state.knowing(when_false)
        end, printed = self.body(node.else_, state)
        ends.append(end)
        prints.append(printed)
        # Behind the branches holds what held at the end of each of them.
        names = {
            name: _Value(
                proven=all(end.names[name].proven for end in ends),
                number=all(end.names[name].number for end in ends),
                printable=all(end.names[name].printable for end in ends),
            )
            for name in ends[0].names
            if all(name in end.names for end in ends)
        }
        return replace(state, names=names, found=frozenset.intersection(*(end.found for end in ends))), (
            frozenset.intersection(*prints)
        )

    def loop(self, node: nodes.For, state: _State) -> tuple[_State, frozenset[str]]:
        path = path_of(node.iter)
        if not (len(path) == 3 and path[0] == "slots" and path[2] == "items" and _NAME.fullmatch(path[1])):
            self.refuse(node, "a loop goes over slots.NAME.items only", "{% for … %}")
            return state, frozenset()
        if not isinstance(node.target, nodes.Name) or node.target.name in _ROOTS or node.target.name in state.names:
            self.refuse(node, "name the item of the loop with a new, single name", "{% for … %}")
            return state, frozenset()
        if node.test is not None or node.recursive:
            self.refuse(node, "a loop takes no condition and is not recursive: put an if inside", "{% for … %}")
        if state.items:
            self.refuse(node, "a loop can't stand inside another", "{% for … %}")
            return state, frozenset()
        if ".".join(path) not in state.found and not node.else_:
            self.refuse(
                node,
                f"may have no items: add {{% else %}} with a text, or put it into {{% if {'.'.join(path)} %}}",
                "{% for … %}",
            )
        # A name set in the body has no value when the body begins, neither the first nor another time.
        set_inside = {
            assign.target.name for assign in node.find_all(nodes.Assign) if isinstance(assign.target, nodes.Name)
        }
        inside = _State(
            {name: value for name, value in state.names.items() if name not in set_inside},
            frozenset({node.target.name}),
            state.found,
        )
        self.body(node.body, inside)
        self.body(node.else_, state)
        outside = {name: value for name, value in state.names.items() if name not in set_inside}
        return replace(state, names=outside), frozenset()

    def assign(self, node: nodes.Assign, state: _State) -> _State:
        target = node.target
        if not isinstance(target, nodes.Name) or not _NAME.fullmatch(target.name):
            self.refuse(node, "`set` gives one plain name a value", "{% set … %}")
            return state
        if target.name in _ROOTS or target.name in state.items:
            self.refuse(node, f"{target.name} has a meaning already: take another name", "{% set … %}")
            return state
        return replace(state, names={**state.names, target.name: self.value(node.node, state)})

    # --- values ---

    def value(self, node: nodes.Node, state: _State) -> _Value:
        if isinstance(node, nodes.Const):
            if isinstance(node.value, bool) or node.value is None:
                return _Value(proven=False, printable=False)
            return _Value(proven=not is_blank(node.value), number=isinstance(node.value, int | float))
        if isinstance(node, nodes.Name | nodes.Getattr):
            return self.path(node, state)
        if isinstance(node, nodes.Filter):
            return self.filtered(node, state)
        if isinstance(node, nodes.CondExpr):
            when_true, when_false = self.condition(node.test, state)
            first = self.value(node.expr1, state.knowing(when_true))
            if node.expr2 is None:
                return self.refuse(node, "needs an else: {{ this if condition else that }}")
            second = self.value(node.expr2, state.knowing(when_false))
            return _Value(
                first.proven and second.proven, first.number and second.number, first.printable and second.printable
            )
        return self.unknown(node)

    def path(self, node: nodes.Node, state: _State) -> _Value:
        path = path_of(node)
        whole = ".".join(path)
        if not path or not all(_NAME.fullmatch(name) for name in path):
            return self.refuse(node, "is not a name that templates may use")
        if len(path) == 1 and path[0] in state.names:
            return state.names[path[0]]
        match path:
            case ("profile", name):
                self.tokens.add(name)
                return _UNKNOWN
            case ("links", name) if name in LINKS:
                return _Value(proven=True)
            case ("slots", _, "block"):
                return _Value(proven=False, printable=False)
            case ("slots", _, "items"):
                return _Value(proven=False, printable=False)
            case ("loop", name) if state.items and name in _LOOP_FIELDS:
                return _Value(proven=True, number=name == "index", printable=name == "index")
            case (item, name) if item in state.items and name in ITEM_FIELDS:
                return _Value(proven=name in _ITEM_ALWAYS or whole in state.found)
        return self.refuse(
            node,
            f"({whole}) is not known here: use profile.NAME, slots.NAME.items, links.unsubscribe, links.preferences, "
            "or in a loop an item's sku, title, price, url, image_url",
        )

    def filtered(self, node: nodes.Filter, state: _State) -> _Value:
        if node.node is None:
            return self.refuse(node, "a filter needs a value")
        entry = FILTERS.get(node.name)
        if entry is None:
            mend = f"the filter {node.name} is not allowed: use {', '.join(sorted(FILTERS))}"
            if node.name in ("default", "d"):
                mend = 'default does not catch what is blank: use | fallback("…")'
            return self.refuse(node, mend)
        value = self.value(node.node, state)
        if node.name != "length" and not value.printable:
            return self.refuse(node, "can't be printed, so no filter applies")
        if not self.arguments_fit(node, entry):
            return _REFUSED
        return _Value(
            proven=entry.proves or (entry.keeps and value.proven), number=entry.number or (entry.keeps and value.number)
        )

    def arguments_fit(self, node: nodes.Filter, entry: Filter) -> bool:
        given = [argument.value if isinstance(argument, nodes.Const) else None for argument in node.args]
        if (
            node.kwargs
            or node.dyn_args is not None
            or node.dyn_kwargs is not None
            or [type(argument) for argument in given] != list(entry.arguments)
        ):
            wanted = ", ".join({str: '"text"', int: "number"}[kind] for kind in entry.arguments)
            self.refuse(node, f"write | {node.name}{f'({wanted})' if wanted else ''}, with a literal")
            return False
        if node.name == "fallback" and is_blank(given[0]):
            self.refuse(node, "the fallback is blank itself: give a text that always fits")
            return False
        if any(isinstance(argument, int) and not 0 <= argument <= 10_000 for argument in given):
            self.refuse(node, "the number must be from 0 to 10000")
            return False
        return True

    # --- conditions ---

    def condition(self, node: nodes.Node, state: _State) -> tuple[frozenset[str], frozenset[str]]:
        """Check a condition: the paths known not to be blank when it is true, and when it is false."""
        nothing: frozenset[str] = frozenset()
        if isinstance(node, nodes.Not):
            when_true, when_false = self.condition(node.node, state)
            return when_false, when_true
        if isinstance(node, nodes.And):
            left, left_false = self.condition(node.left, state)
            right, right_false = self.condition(node.right, state.knowing(left))
            return left | right, left_false & right_false
        if isinstance(node, nodes.Or):
            left, left_false = self.condition(node.left, state)
            right, right_false = self.condition(node.right, state.knowing(left_false))
            return left & right, left_false | right_false
        if isinstance(node, nodes.Compare):
            self.comparison(node, state)
            return nothing, nothing
        self.value(node, state)
        path = path_of(node)
        if len(path) == 2 and path[0] in state.items:
            return frozenset({".".join(path)}), nothing
        if len(path) == 3 and path[0] == "slots" and path[2] == "items":
            return frozenset({".".join(path)}), nothing
        return nothing, nothing

    def comparison(self, node: nodes.Compare, state: _State) -> None:
        value = self.value(node.expr, state)
        if len(node.ops) != 1:
            self.refuse(node, "compare two values at a time, joined with `and`")
            return
        operator, other = node.ops[0].op, node.ops[0].expr
        if operator in ("in", "notin"):
            literals = isinstance(other, nodes.List | nodes.Tuple) and all(
                isinstance(entry, nodes.Const) for entry in other.items
            )
            if not literals:
                self.refuse(node, 'write the values as a list: in ["DE", "AT"]')
            return
        right = self.value(other, state)
        if operator in _ORDERED and not (value.number and right.number):
            self.refuse(node, "only numbers can be ordered: write profile.NAME | number(0)")
