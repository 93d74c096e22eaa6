"""What the analysis found, and how much the template can do at most."""

from dataclasses import dataclass, field
from typing import Final

from jinja2 import nodes

from apps.decisioning.content.contracts import Problem
from apps.decisioning.content.pieces import LineMap
from apps.decisioning.content.shapes import NUMBERS, REFUSED, SHOWING, Shape, Value, shapes_after

MAX_STEPS: Final = 100_000
"""Outputs, conditions and filters that one render can go through."""
MAX_CHARACTERS: Final = 8 * 1024 * 1024
"""Characters that one render can print or put together, whatever the data is."""
MAX_NUMBER: Final = 1e30
_MAX_VISITS: Final = 50_000


class TooMuch(Exception):
    """The template can do more than is allowed, or is too intricate to follow."""

    def __init__(self, node: nodes.Node, mend: str) -> None:
        super().__init__(mend)
        self.node, self.mend = node, mend


@dataclass(slots=True)
class Proof:
    """problems: why it is refused, none if proven; tokens: profile values that it uses, sorted; always: paths that
    are printed whatever the person and the slots are (`links.unsubscribe`); readable: whether Jinja can parse it;
    followed: whether values could be followed to the end, as `always`, `prints` and `shows` need it;
    prints: whether something that shows is printed on every path; shows: whether all of it, read as one text, is
    not blank on any.
    """

    problems: list[Problem] = field(default_factory=list)
    tokens: tuple[str, ...] = ()
    always: frozenset[str] = frozenset()
    readable: bool = True
    followed: bool = True
    prints: bool = False
    shows: bool = False


@dataclass(frozen=True, slots=True)
class Printed:
    """What statements print: the shapes of it as one text, its length at most, the paths that are always in it, and
    whether some part of it shows on every path.
    """

    shapes: Shape = Shape.EMPTY
    longest: int = 0
    always: frozenset[str] = frozenset()
    something: bool = False

    @property
    def shows(self) -> bool:
        """Whether something can always be seen of it."""
        return not self.shapes & ~SHOWING

    def then(self, more: "Printed") -> "Printed":
        """It, and behind it something more."""
        return Printed(
            shapes_after(self.shapes, more.shapes),
            self.longest + more.longest,
            self.always | more.always,
            self.something or more.something,
        )

    def either(self, other: "Printed") -> "Printed":
        """It or something else."""
        return Printed(
            self.shapes | other.shapes,
            max(self.longest, other.longest),
            self.always & other.always,
            self.something and other.something,
        )

    def times(self, most: int) -> "Printed":
        """It, once to `most` times; what it prints of a loop's item isn't what the next turn prints."""
        shapes = self.shapes
        while (more := shapes | shapes_after(shapes, self.shapes)) != shapes:
            shapes = more
        return Printed(shapes, self.longest * most, frozenset(), self.something)


@dataclass(frozen=True, slots=True)
class Cost:
    """steps and characters so far, at most."""

    steps: int = 0
    characters: int = 0

    def or_(self, other: "Cost") -> "Cost":
        """The larger of two, in each."""
        return Cost(max(self.steps, other.steps), max(self.characters, other.characters))


class Ledger:
    """Problems, tokens and cost of one analysis."""

    def __init__(self, lines: LineMap, hidden: frozenset[int]) -> None:
        self._lines = lines
        self._hidden = hidden
        self._visits = 0
        self.turns = 1
        self.cost = Cost()
        self.problems: list[Problem] = []
        self.tokens: set[str] = set()

    def refuse(self, node: nodes.Node, mend: str, token: str = "") -> Value:
        """Note a problem; the value that stands for what was refused."""
        problem = self._lines.problem(node.lineno or 1, token, mend)
        if problem not in self.problems:
            self.problems.append(problem)
        return REFUSED

    def in_a_tag(self, node: nodes.Node) -> bool:
        """Whether an output stands inside of a tag: in an attribute."""
        return self._lines.index(node.lineno or 1) in self._hidden

    def step(self, node: nodes.Node) -> None:
        """One more node is looked at, and is gone through once for each turn of the loops around it."""
        self._visits += 1
        if self._visits > _MAX_VISITS:
            raise TooMuch(node, "is too intricate to be followed: use fewer loops and macros within each other")
        self.spend(node, Cost(1, 0))

    def spend(self, node: nodes.Node, cost: Cost) -> None:
        """What a node costs, once for each turn of the loops around it."""
        self.cost = Cost(self.cost.steps + self.turns * cost.steps, self.cost.characters + self.turns * cost.characters)
        if self.cost.steps > MAX_STEPS:
            raise TooMuch(node, f"can go through over {MAX_STEPS} steps for one person: use fewer loops within loops")
        if self.cost.characters > MAX_CHARACTERS:
            raise TooMuch(node, "can become too long for one message: show fewer items, or cut by | truncate(n)")

    def made(self, node: nodes.Node, value: Value) -> Value:
        """A value is put together or printed: its size counts."""
        self.spend(node, Cost(0, value.longest))
        if value.may_be(NUMBERS) and value.largest > MAX_NUMBER:
            raise TooMuch(node, "is too large a number, or can become it: multiply less")
        return value
