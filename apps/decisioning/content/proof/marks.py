"""What can be seen of markup: words and pictures; and which outputs stand in a tag, where nothing of them shows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import unescape

from apps.decisioning.content.pieces import Kind, Piece

_PICTURE = re.compile(r"<(?:mj-image|img)(?![\w-])")
UNSEEN = "\u2060"
"""A character that shows nothing and is no white space: data keeps its length by it, and `-%}` doesn't take it away."""


@dataclass(frozen=True, slots=True)
class Words:
    """pieces: as they were, with data that holds only what can be seen of it, in one line and as long as before;
    hidden: the numbers of the outputs that stand in a tag or comment.
    """

    pieces: list[Piece]
    hidden: frozenset[int]


def words_of(pieces: Sequence[Piece], *, markup: bool) -> Words:
    """What can be seen of pieces. markup: their data is MJML or HTML."""
    reader = _Tags()
    seen: list[Piece] = []
    hidden: set[int] = set()
    for number, piece in enumerate(pieces):
        if piece.kind is not Kind.DATA:
            seen.append(piece)
            if markup and piece.kind is Kind.OUTPUT and reader.inside:
                hidden.add(number)
            continue
        text = unescape(reader.read(piece.text)) if markup else piece.text
        # A brace shows as much as a bracket does, and never begins a construct.
        words = " ".join(text.replace("{", "(").split())
        seen.append(replace(piece, text=words + UNSEEN * (len(piece.text) - len(words))))
    return Words(seen, frozenset(hidden))


class _Tags:
    """Reads markup that comes in parts, and keeps in mind where in a tag it is."""

    def __init__(self) -> None:
        self._end = ""  # what ends where we are: a tag (>), a quoted value, a comment; "" in text

    @property
    def inside(self) -> bool:
        """Whether the part that was read ended in a tag or comment."""
        return bool(self._end)

    def read(self, text: str) -> str:
        """What stands outside of tags, a sign for each picture, and a space for each tag."""
        shown: list[str] = []
        at = 0
        while at < len(text):
            if not self._end:
                start = text.find("<", at)
                if start < 0:
                    shown.append(text[at:])
                    break
                comment = text.startswith("<!--", start)
                shown.append(text[at:start])
                shown.append("■" if _PICTURE.match(text, start) else " ")
                self._end, at = ("-->", start + 4) if comment else (">", start + 1)
            elif self._end == ">":
                found = re.compile("[>\"']").search(text, at)
                if found is None:
                    break
                self._end, at = ("" if found[0] == ">" else found[0]), found.end()
            else:
                found_at = text.find(self._end, at)
                if found_at < 0:
                    break
                at = found_at + len(self._end)
                self._end = "" if self._end == "-->" else ">"
        return "".join(shown)
