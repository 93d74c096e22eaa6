"""The things of a feed, out of the form in which it is written: JSON, a table, or XML. Pure.

XML is read as it streams by, without a tree; what has a document type is refused, so there are no entities to expand
and nothing outside to fetch (CWE-611, CWE-776).
"""

import csv
from io import StringIO
from typing import Any, Final
from xml.parsers import expat

import orjson

from .bodies import at

FORMS: Final = ("json", "csv", "tsv", "xml")
_GOOGLE: Final = "http://base.google.com/ns/1.0"
_DEEP: Final = 16
_UNREADABLE: Final = "can't be read as the form says"


class FormFault(Exception):
    """A feed can't be read. The text is a code."""


def things_read(body: bytes, *, form: str, items: str, most: int) -> list[dict[str, Any]]:
    """What a feed lists. items: of JSON, where the list stands, "" for all of it; of XML, the name of the element that
    each thing is, "" for `item` (RSS) and `entry` (Atom). Raises FormFault, also for more than `most`."""
    if form == "xml":
        return _Elements(frozenset((items,)) if items else frozenset(("item", "entry")), most).read(body)
    found = _listed(body, items) if form == "json" else _rows(body, "\t" if form == "tsv" else "", most)
    if len(found) > most:
        raise FormFault("too many items")
    return found


def _listed(body: bytes, items: str) -> list[dict[str, Any]]:
    try:
        said = orjson.loads(body)
    except ValueError:
        raise FormFault("no JSON") from None
    found = at(said, items) if items else said
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise FormFault("no list of things where items says")
    return found


def _rows(body: bytes, between: str, most: int) -> list[dict[str, Any]]:
    """The rows of a table by the names in its first line; an empty cell says nothing.

    between: "" for whichever of comma and semicolon the first line has more of. Raises FormFault.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FormFault(f"{_UNREADABLE}: no UTF-8") from None
    head = text.partition("\n")[0]
    between = between or max(",;", key=head.count)
    found = []
    try:
        for row in csv.DictReader(StringIO(text, newline=""), delimiter=between, strict=True):
            if None in row:
                raise FormFault(f"{_UNREADABLE}: a row has more cells than the first line")
            found.append({name.strip(): value for name, value in row.items() if value and value.strip()})
            if len(found) > most:
                break
    except csv.Error:
        raise FormFault(f"{_UNREADABLE}: no table") from None
    return found


class _Elements:
    """Reads elements of certain names as things: their parts by name without prefix, the first of several; a part of
    Google's namespace goes before another of its name (`g:title` before `title`)."""

    def __init__(self, names: frozenset[str], most: int) -> None:
        self._names, self._most = names, most
        self._found: list[dict[str, Any]] = []
        self._open: list[dict[str, Any]] = []
        self._texts: list[list[str]] = []
        self._googles: list[set[str]] = []  # of each open one, its parts of Google's namespace

    def read(self, body: bytes) -> list[dict[str, Any]]:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        try:
            parser.Parse(body, True)
        except (expat.ExpatError, LookupError, ValueError):
            raise FormFault(f"{_UNREADABLE}: no XML") from None
        return self._found

    def _doctype(self, *_: Any) -> None:
        raise FormFault("its XML has a document type, which is not taken")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._open or tag.rpartition(" ")[2] in self._names:
            if len(self._open) >= _DEEP:
                raise FormFault(f"{_UNREADABLE}: nested too deep")
            self._open.append({})
            self._texts.append([])
            self._googles.append(set())

    def _text(self, text: str) -> None:
        if self._open:
            self._texts[-1].append(text)

    def _end(self, tag: str) -> None:
        if not self._open:
            return
        thing, text = self._open.pop(), "".join(self._texts.pop()).strip()
        self._googles.pop()
        if not self._open:
            self._found.append(thing)
            if len(self._found) > self._most:
                raise FormFault("too many items")
            return
        space, _, name = tag.rpartition(" ")
        if not thing and not text:
            return
        if space == _GOOGLE and name not in self._googles[-1]:
            self._googles[-1].add(name)
            self._open[-1][name] = thing or text
        else:
            self._open[-1].setdefault(name, thing or text)
