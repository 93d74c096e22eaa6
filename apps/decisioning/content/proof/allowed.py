"""What a template may be made of: nodes, names, filters and tests. What isn't listed is refused, wherever it stands."""

import re
from collections.abc import Iterator
from typing import Final

from jinja2 import nodes

from apps.decisioning.content.filters import FILTERS, TESTS

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
RESERVED: Final = frozenset(
    {"profile", "slots", "links", "loop", "true", "false", "none", "caller", "varargs", "kwargs", "self", "super"}
)
"""Names with a meaning of their own: nothing else can be called so."""
_MAX_STATEMENTS: Final = 16
_MAX_EXPRESSION: Final = 30

_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign, nodes.AssignBlock, nodes.Macro,
    nodes.Const, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Call, nodes.Keyword, nodes.Filter,
    nodes.Test, nodes.CondExpr, nodes.And, nodes.Or, nodes.Not, nodes.Compare, nodes.Operand, nodes.List, nodes.Tuple,
    nodes.Concat, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos,
)  # fmt: skip
_FORBIDDEN = {
    nodes.CallBlock: "call blocks are not allowed: pass values to the macro",
    nodes.Include: "includes are not allowed: use a slot",
    nodes.Import: "imports are not allowed: write the macro into this template",
    nodes.FromImport: "imports are not allowed: write the macro into this template",
    nodes.Extends: "one template can't extend another: use slots",
    nodes.Block: "blocks of Jinja are not allowed: use a slot",
    nodes.With: "`with` is not allowed: use `set`",
    nodes.FilterBlock: "filter blocks are not allowed: put the filter into the output",
    nodes.Scope: "autoescaping can't be changed",
    nodes.ScopedEvalContextModifier: "autoescaping can't be changed",
    nodes.EvalContextModifier: "autoescaping can't be changed",
    nodes.NSRef: "`set` gives one plain name a value: attributes can't be set",
    nodes.Dict: "{…} is not allowed: set one name for each value",
    nodes.Pow: "`**` is not allowed: multiply",
}


def path_of(node: nodes.Node) -> tuple[str, ...]:
    """`a.b.c` as its names; () for anything else."""
    names: list[str] = []
    while isinstance(node, nodes.Getattr):
        names.append(node.attr)
        node = node.node
    return (node.name, *reversed(names)) if isinstance(node, nodes.Name) else ()


def faults(tree: nodes.Template) -> Iterator[tuple[nodes.Node, str]]:
    """What is not allowed in a tree, and how to mend it; of what stands inside of that, nothing."""
    stack: list[tuple[nodes.Node, int, int, int]] = [(tree, 1, 0, 0)]
    while stack:
        node, line, statements, expressions = stack.pop()
        if not node.lineno:
            node.lineno = line
        mend = _mend(node)
        if mend is None and isinstance(node, nodes.Stmt) and not isinstance(node, nodes.Output):
            statements, expressions = statements + 1, 0
            if statements > _MAX_STATEMENTS:
                mend = f"is nested deeper than {_MAX_STATEMENTS}: flatten it"
        elif mend is None and isinstance(node, nodes.Expr):
            expressions += 1
            if expressions > _MAX_EXPRESSION:
                mend = f"is nested deeper than {_MAX_EXPRESSION}: put parts of it into names with `set`"
        if mend is not None:
            yield node, mend
            continue
        children = list(node.iter_child_nodes())
        if isinstance(node, nodes.If):  # Jinja hangs them one into the other, Python has them side by side
            stack.extend((entry, node.lineno, statements - 1, 0) for entry in node.elif_)
            children = [node.test, *node.body, *node.else_]
        stack.extend((child, node.lineno, statements, expressions) for child in reversed(children))


def _mend(node: nodes.Node) -> str | None:
    for kind, mend in _FORBIDDEN.items():
        if isinstance(node, kind):
            return mend
    if not isinstance(node, _ALLOWED):
        return f"{type(node).__name__} is not allowed here: use outputs, if, for, set and macros"
    if isinstance(node, nodes.Name) and not NAME.fullmatch(node.name):
        return f"({node.name}) is not a name that templates may use"
    if isinstance(node, nodes.Getattr) and not NAME.fullmatch(node.attr):
        return f"({node.attr}) is not a name that templates may use"
    if isinstance(node, nodes.Getitem) and not isinstance(node.arg, nodes.Slice):
        return "write a dot and a name, not square brackets"
    if isinstance(node, nodes.Call) and not isinstance(node.node, nodes.Name):
        return "nothing can be called but macros of this template: use a filter"
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        return f"the filter {node.name} is not allowed: use {', '.join(sorted(FILTERS))}"
    if isinstance(node, nodes.Test) and node.name not in TESTS:
        return f"the test {node.name} is not allowed: use {', '.join(sorted(TESTS))}"
    return None
