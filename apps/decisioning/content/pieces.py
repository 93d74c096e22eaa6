"""A template source as pieces: plain data, outputs `{{ … }}` and statements `{% … %}`, each with its place.

Jinja's own lexer cuts them, so that a piece is what Jinja would take for one. Data never becomes Jinja by standing
next to other data: `source_of` writes a brace that could begin a construct as an output of its own.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from jinja2 import Environment, TemplateSyntaxError

from .contracts import Problem

_LEXER = Environment(autoescape=True, keep_trailing_newline=True)
_BRACKET = re.compile(r"\[\[([^\[\]]*)\]\]")
_BRACE = re.compile(r"\{(?=[{%#]|\Z)")
_WORD = re.compile(r"\{%[-+]?\s*(\w+)")
_SET_BLOCK = re.compile(r"\{%[-+]?\s*set\s[^=]*%\}")
_OPENING = frozenset({"if", "for", "macro"})


class Kind(Enum):
    """What a piece is."""

    DATA = "data"
    OUTPUT = "output"
    STATEMENT = "statement"


@dataclass(frozen=True, slots=True)
class Piece:
    """where, line: the source it stands in and its first line; mark: a name of what it was filled with, if that
    matters later (`brand.postal_address`).
    """

    kind: Kind
    text: str
    where: str
    line: int
    mark: str = ""

    @property
    def word(self) -> str:
        """The first word of a statement: if, elif, else, endif, for, endfor, set…"""
        found = _WORD.match(self.text)
        return found[1] if found else ""

    @property
    def opens(self) -> str:
        """The word of what a statement opens: if, for, macro, or set where it is given a block; else ""."""
        if self.kind is not Kind.STATEMENT:
            return ""
        word = self.word
        return word if word in _OPENING or (word == "set" and _SET_BLOCK.fullmatch(self.text)) else ""

    @property
    def closes(self) -> str:
        """The word of what a statement closes, else ""."""
        return self.word.removeprefix("end") if self.kind is Kind.STATEMENT and self.word.startswith("end") else ""

    def problem(self, mend: str, *, token: str | None = None, offset: int = 0) -> Problem:
        """A problem at this piece, `offset` characters into it."""
        line = self.line + self.text.count("\n", 0, offset)
        return Problem(self.where, line, " ".join((self.text if token is None else token).split())[:120], mend)


class SourceRefused(Exception):
    """A source that can't be cut into pieces, or filled."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def pieces_read(source: str, where: str) -> list[Piece]:
    """Cut `source`. Comments are left out. Raises SourceRefused for what Jinja can't read, and for `{% raw %}`."""
    pieces: list[Piece] = []
    construct: list[str] = []
    kind = Kind.DATA
    start = 1
    commented = 0
    try:
        for line, what, value in _LEXER.lex(source):
            if what == "data":
                pieces.append(Piece(Kind.DATA, value, where, line))
            elif what == "raw_begin":
                raise SourceRefused(
                    Problem(where, line, "{% raw %}", "is not allowed: write the text without template brackets")
                )
            elif what.startswith("comment"):
                commented = line if what != "comment_end" else 0
            elif what in ("variable_begin", "block_begin"):
                kind = Kind.OUTPUT if what == "variable_begin" else Kind.STATEMENT
                construct, start = [value], line
            else:
                construct.append(value)
                if what in ("variable_end", "block_end"):
                    pieces.append(Piece(kind, "".join(construct), where, start))
                    construct = []
    except TemplateSyntaxError as error:
        raise SourceRefused(Problem(where, error.lineno, "", f"{error.message}: close what was opened")) from None
    if commented:
        raise SourceRefused(Problem(where, commented, "{#", "is not closed"))
    if construct:
        raise SourceRefused(Problem(where, start, "".join(construct).strip()[:60], "is not closed"))
    return pieces


def pieces_fill(
    pieces: Iterable[Piece], in_data: Callable[[str, Piece], list[Piece]], in_code: Callable[[str, Piece], str]
) -> list[Piece]:
    """Fill the `[[ … ]]` of pieces, once: what was filled in is not looked at again.

    in_data gives the pieces for a name; in_code the text for one inside an output or statement.
    """
    filled: list[Piece] = []
    for piece in pieces:
        if "[[" not in piece.text:
            filled.append(piece)
            continue
        if piece.kind is not Kind.DATA:
            text = _BRACKET.sub(lambda found, piece=piece: in_code(found[1].strip(), piece), piece.text)  # type: ignore[misc]
            filled.append(Piece(piece.kind, text, piece.where, piece.line))
            continue
        end = 0
        for found in _BRACKET.finditer(piece.text):
            line = piece.line + piece.text.count("\n", 0, found.start())
            if found.start() > end:
                filled.append(_part(piece, end, found.start()))
            filled.extend(in_data(found[1].strip(), Piece(Kind.DATA, found[0], piece.where, line)))
            end = found.end()
        if end < len(piece.text):
            filled.append(_part(piece, end, len(piece.text)))
    return filled


def _part(piece: Piece, start: int, end: int) -> Piece:
    line = piece.line + piece.text.count("\n", 0, start)
    return Piece(Kind.DATA, piece.text[start:end], piece.where, line)


def pieces_strip(pieces: Sequence[Piece]) -> list[Piece]:
    """Without white space at both ends."""
    stripped = [piece for piece in pieces if piece.text]
    while stripped and stripped[0].kind is Kind.DATA:
        first = stripped.pop(0)
        text = first.text.lstrip()
        if text:
            line = first.line + first.text.count("\n", 0, len(first.text) - len(text))
            stripped.insert(0, Piece(Kind.DATA, text, first.where, line, first.mark))
            break
    while stripped and stripped[-1].kind is Kind.DATA:
        last = stripped.pop()
        if last.text.rstrip():
            stripped.append(Piece(Kind.DATA, last.text.rstrip(), last.where, last.line, last.mark))
            break
    return stripped


def source_of(pieces: Iterable[Piece]) -> str:
    """The pieces as one Jinja source, in which data stays data."""
    whole: list[Piece] = []
    for piece in pieces:  # neighbours first become one, so that a brace sees what follows it
        if whole and whole[-1].kind is Kind.DATA and piece.kind is Kind.DATA:
            whole[-1] = Piece(Kind.DATA, whole[-1].text + piece.text, piece.where, piece.line)
        else:
            whole.append(piece)
    return "".join(_BRACE.sub('{{ "{" }}', piece.text) if piece.kind is Kind.DATA else piece.text for piece in whole)


class LineMap:
    """Pieces written one below the other, and which line belongs to which piece: Jinja's tree only knows lines."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self._starts: list[int] = []
        lines: list[str] = []
        line = 1
        for piece in pieces:
            self._starts.append(line)
            lines.append(piece.text)
            line += piece.text.count("\n") + 1
        self.source = "\n".join(lines)

    def index(self, line: int) -> int:
        """The number of the piece that line `line` of `source` belongs to."""
        return max(bisect_right(self._starts, line) - 1, 0)

    def problem(self, line: int, token: str, mend: str) -> Problem:
        """A problem in line `line` of `source`, at its true place."""
        if not self._pieces:
            return Problem("template", 0, token, mend)
        index = self.index(line)
        while index and self._pieces[index].kind is Kind.DATA:  # what is wrong is in the code before it
            index -= 1
        piece = self._pieces[index]
        shown = token or ("" if piece.kind is Kind.DATA else " ".join(piece.text.split())[:120])
        end = piece.text.count("\n")
        return Problem(piece.where, piece.line + min(max(line - self._starts[index], 0), end), shown, mend)
