"""Which branches a render takes, and which fallbacks fire: for template tests. Pure.

The compiled sources are rendered once more with marks in them: an output behind each `if`, `elif`, `else`, `for` notes
that it was passed, and each filter that can answer instead of a missing value notes when it did. What people get is
rendered by `rendering.py`, which knows nothing of this; what comes out here is thrown away.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jinja2 import Template, TemplateError, nodes, pass_context
from jinja2.runtime import Context

from .contracts import CompiledSources
from .environment import MessageEnvironment
from .errors import RenderError
from .filters import FILTERS
from .pieces import Kind, Piece, pieces_read
from .rendering import context_plain

_SLOT_TEST = re.compile(r'slots\.\w+\.block == "')
_SEEN: Final = "watched"
_WATCHED: Final = "_watched"


@dataclass(frozen=True, slots=True, order=True)
class Branch:
    """One way through a template or layout. where, line, statement: what decides; side: which way."""

    where: str
    line: int
    statement: str
    side: str


@pass_context
def _passed(context: Context, number: int) -> str:
    context.get(_SEEN)[0].add(number)  # what `look` puts in
    return "x"


def _noting(name: str, run: Callable[..., object]) -> Callable[..., object]:
    """The filter, noting the token whose value it stood in for."""

    @pass_context
    def noted(context: Context, value: object, token: str, *args: object) -> object:
        result = run(value, *args)
        if result is not value and result != value:  # 3.0 shown as 3 is the value itself
            context.get(_SEEN)[1].add(token)
        return result

    noted.__name__ = name
    return noted


class _WatchingEnvironment(MessageEnvironment):
    def __init__(self, *, html: bool) -> None:
        super().__init__(html=html)
        self.filters["passed"] = _passed
        for name, entry in FILTERS.items():
            if entry.stands_in:
                self.filters[name + _WATCHED] = _noting(name, entry.run)


_HTML: Final = _WatchingEnvironment(html=True)
_TEXT: Final = _WatchingEnvironment(html=False)


def _token(node: nodes.Node) -> str:
    """What a filter is asked of: `first_name` for a profile value, else as it is written (`item.price`)."""
    while isinstance(node, nodes.Filter) and node.node is not None:
        node = node.node
    parts: list[str] = []
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        parts.append(node.attr if isinstance(node, nodes.Getattr) else str(getattr(node.arg, "value", "…")))
        node = node.node
    if isinstance(node, nodes.Name):
        parts.append(node.name)
    parts.reverse()
    if parts[:1] == ["profile"]:
        parts = parts[1:]
    return ".".join(parts) or "…"


class Watcher:
    """Compiled sources with marks in them. `branches`: all that there are, but the slots' own choice of a block."""

    def __init__(self, compiled: CompiledSources, statements: Mapping[str, Sequence[Piece]]) -> None:
        """statements: those of subject, mjml and text as they were before they were compiled, for their places."""
        self._compiled = compiled
        self._numbered: dict[int, Branch] = {}
        self._programs = [
            self._program(_TEXT, compiled.subject, statements.get("subject", ())),
            self._program(_HTML, compiled.html, statements.get("mjml", ())),
            self._program(_TEXT, compiled.text, statements.get("text", ())),
        ]
        self.branches = frozenset(self._numbered.values())

    def look(self, context: Mapping[str, Any]) -> tuple[set[Branch], set[str]]:
        """The branches that a person's message takes, and the tokens that show a fallback. Raises RenderError."""
        taken: set[int] = set()
        tokens: set[str] = set()
        data = {**context_plain(self._compiled, context), _SEEN: (taken, tokens)}
        for program in self._programs:
            try:
                program.render(data)
            except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
                raise RenderError("template_misbehaved", f"The template failed: {type(error).__name__}") from None
        return {self._numbered[number] for number in taken}, tokens

    def _program(self, environment: _WatchingEnvironment, source: str, before: Sequence[Piece]) -> Template:
        tree = environment.parse(self._marked(source, before))
        for found in tree.find_all(nodes.Filter):
            entry = FILTERS.get(found.name)
            if entry is not None and entry.stands_in and found.node is not None:
                found.args.insert(0, nodes.Const(_token(found.node), lineno=found.lineno))
                found.name += _WATCHED
        return Template.from_code(environment, environment.compile(tree), {})

    def _marked(self, source: str, before: Sequence[Piece]) -> str:
        """The source with a mark in each branch; a branch that is not written out (no `else`) gets one too."""
        places: dict[str, list[Piece]] = defaultdict(list)
        for piece in before:
            if piece.kind is Kind.STATEMENT:
                places[" ".join(piece.text.split())].append(piece)
        turns: dict[str, int] = defaultdict(int)
        opened: list[_Opened] = []
        marked: list[str] = []

        def mark(opener: _Opened, at: Piece, side: str) -> str:
            if not opener.counts:
                return ""
            number = len(self._numbered)
            self._numbered[number] = Branch(at.where, at.line, " ".join(at.text.split()), side)
            return f"{{{{ {number}|passed }}}}"

        for piece in pieces_read(source, "compiled"):
            text = " ".join(piece.text.split())
            word = piece.word if piece.kind is Kind.STATEMENT else ""
            same = places.get(text) or [piece]
            origin = same[turns[text] % len(same)]
            if word in ("if", "for"):
                turns[text] += 1
                opened.append(_Opened(word, origin, counts=not _SLOT_TEST.search(text)))
                marked += [piece.text, mark(opened[-1], origin, "taken" if word == "if" else "with items")]
            elif word == "elif" and opened:
                turns[text] += 1
                marked += [piece.text, mark(opened[-1], origin, "taken")]
            elif word == "else" and opened:
                opened[-1].otherwise = True
                marked += [piece.text, mark(opened[-1], opened[-1].at, opened[-1].other)]
            elif word in ("endif", "endfor") and opened:
                closing = opened.pop()
                if not closing.otherwise and closing.word == "if":  # a loop without `else` shows nothing then
                    marked += ["{% else %}", mark(closing, closing.at, closing.other)]
                marked.append(piece.text)
            else:
                marked.append(piece.text)
        return "".join(marked)


@dataclass(slots=True)
class _Opened:
    """An `if` or `for` that is not closed yet."""

    word: str
    at: Piece
    counts: bool
    otherwise: bool = False

    @property
    def other(self) -> str:
        return "otherwise" if self.word == "if" else "without items"
