"""The fallback proof: an analysis of a template's Jinja tree that shows that no output can be blank.

It follows values, not spellings: of each expression it knows the shapes that its value may have (`shapes.py`), on each
path that leads there, and an output is fine when none of them would print nothing. What it can't show, and every
construct that it doesn't know, is refused with its place and how to mend it. It relies on what
`rendering.context_plain` makes true of a context (`state.py` writes that down), and on what `filters.py` says of
filters.

`allowed` is the list of what a template may be made of; `conditions`, `expressions` and `statements` follow values
through it; `ledger` keeps what was found, and bounds what a template can do. `marks` takes markup out of the data.
"""

from collections.abc import Sequence

from jinja2 import TemplateSyntaxError

from apps.decisioning.content.environment import HTML
from apps.decisioning.content.pieces import LineMap, Piece

from .allowed import faults, path_of
from .ledger import Ledger, Proof, TooMuch
from .marks import words_of
from .state import START
from .statements import Statements

__all__ = ["Proof", "path_of", "proof_of"]


def proof_of(pieces: Sequence[Piece], *, markup: bool = False) -> Proof:
    """Analyse what is among `pieces`. markup: their data is MJML or HTML, of which only words and pictures show."""
    shown = words_of(pieces, markup=markup)
    lines = LineMap(shown.pieces)
    try:
        tree = HTML.parse(lines.source)
    except TemplateSyntaxError as error:
        return Proof(
            [lines.problem(error.lineno, "", f"is not understood: {error.message}")], readable=False, followed=False
        )
    except (RecursionError, ValueError, OverflowError, MemoryError):
        mend = "is nested too deeply or holds a number that is too long: simplify it"
        return Proof([lines.problem(1, "", mend)], readable=False, followed=False)
    ledger = Ledger(lines, hidden=shown.hidden)
    for node, mend in faults(tree):
        ledger.refuse(node, mend)
    if ledger.problems:  # what may not stand there isn't followed
        return Proof(ledger.problems, tuple(sorted(ledger.tokens)), followed=False)
    try:
        _, printed = Statements(ledger, tree).body(tree.body, START)
    except TooMuch as stop:
        ledger.refuse(stop.node, stop.mend)
        return Proof(ledger.problems, tuple(sorted(ledger.tokens)), followed=False)
    return Proof(
        ledger.problems, tuple(sorted(ledger.tokens)), printed.always, prints=printed.something, shows=printed.shows
    )
