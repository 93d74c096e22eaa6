"""The fields of block types: how they are declared, what a block says in them, and how that looks in a message."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .contracts import Problem
from .limits import ALL_LIMITS, KINDS, Field, languages_read, limits_read
from .pieces import Kind, Piece, pieces_read
from .plain_text import rich_text_clean, rich_text_plain
from .values import colour_is_valid, image_value, value_problems

__all__ = ["KINDS", "Field", "colour_is_valid", "fields_read", "language_is_valid", "value_problems"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_KEYS = frozenset({"name", "label", "kind", "fixed", "required", "value", "help", "by_language", *ALL_LIMITS})
_RESERVED = frozenset({"language", "slot", "brand", "items"})


def language_is_valid(value: object) -> bool:
    """Whether it looks like a language tag (BCP 47): en, de-AT."""
    return isinstance(value, str) and _LANGUAGE.fullmatch(value) is not None


def language_chain(language: str, last: str) -> list[str]:
    """The languages to look for, in order: de-AT, de, then the brand's."""
    parts = language.split("-")
    chain = ["-".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return [*chain, *(wanted for wanted in (last, last.split("-")[0]) if wanted not in chain)]


def fields_read(data: object, problems: list[Problem]) -> list[Field]:
    """A type's declaration as fields; what is wrong with it goes to `problems`."""
    fields: list[Field] = []
    if not isinstance(data, list):
        problems.append(Problem("fields", 0, "", "must be a list of fields"))
        return fields
    for number, entry in enumerate(data, 1):
        where = f"field {number}"

        def wrong(token: str, mend: str, where: str = where) -> None:
            problems.append(Problem(where, 0, token, mend))

        if not isinstance(entry, dict):
            wrong("", "must be an object with name, label and kind")
            continue
        name, kind = entry.get("name"), entry.get("kind")
        for key in sorted(set(entry) - _KEYS):
            wrong(str(key), f"is not known: use {', '.join(sorted(_KEYS))}")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            wrong(str(name), "name: lower-case letters, digits and _, a letter first, at most 40")
            continue
        if name in {field.name for field in fields} or (name in _RESERVED and kind != "products"):
            wrong(name, "is taken: choose another name")
        if kind not in KINDS:
            wrong(name, f"kind must be one of {', '.join(KINDS)}")
            continue

        def wrong_limit(token: str, mend: str, name: str = name, where: str = where) -> None:
            problems.append(Problem(f"{where}, {name}", 0, token, mend))

        limits = limits_read(kind, entry, wrong_limit)
        field = Field(
            name=name,
            label=str(entry.get("label") or name.replace("_", " ").capitalize()),
            kind=kind,
            fixed=entry.get("fixed") is True,
            required=entry.get("required", True) is True,
            value=entry.get("value"),
            help=str(entry.get("help") or ""),
            limits=limits,
            by_language=languages_read(kind, entry.get("by_language"), limits, wrong_limit, language_is_valid),
        )
        fields.append(field)
        if kind == "choice" and not limits.choices:
            wrong(name, "needs choices: a list of texts")
        if kind == "colour" and not all(colour_is_valid(choice) for choice in limits.choices):
            wrong(name, "choices must be colours such as #1a2b3c")
        if kind == "products" and field.fixed:
            wrong(name, "products are chosen for each person, so they can't be fixed")
        if kind in ("link", "image", "colour", "choice") and not field.required:
            wrong(name, f"a {kind} is always required: a message can't have half a picture or link")
        if field.fixed:
            several = isinstance(field.value, dict) and not (kind == "image" and "url" in field.value)
            for language, value in (field.value if several else {"en": field.value}).items():
                if several and not language_is_valid(language):
                    wrong(str(language), "is not a language tag such as en or de-AT")
                problems.extend(value_problems(field, value, f"{where}, {name}, value ({language})", language))
        elif field.value is not None:
            wrong(name, "only a fixed field has a value here")
    if [field.kind for field in fields].count("products") > 1:
        problems.append(Problem("fields", 0, "", "only one field can be of kind products"))
    return fields


def content_problems(fields: Sequence[Field], content: object, where: str) -> list[Problem]:
    """What is wrong with a block's content, in any of its languages."""
    if not isinstance(content, dict) or not content:
        return [Problem(where, 0, "", "needs content in one language at least")]
    by_name = {field.name: field for field in fields}
    problems: list[Problem] = []
    for language, values in content.items():
        if not language_is_valid(language):
            problems.append(Problem(where, 0, str(language), "is not a language tag such as en or de-AT"))
            continue
        if not isinstance(values, dict):
            problems.append(Problem(f"{where}, {language}", 0, "", "must be fields with their values"))
            continue
        for name in values:
            if name not in by_name:
                problems.append(Problem(f"{where}, {language}", 0, str(name), "is not a field of this type"))
            elif by_name[name].fixed:
                problems.append(
                    Problem(f"{where}, {language}", 0, name, "is fixed: only the central team changes it, in the type")
                )
        for field in fields:
            if not field.fixed:
                place = f"{where}, {language}, {field.label}"
                problems.extend(value_problems(field, values.get(field.name), place, language))
    return problems


def values_of(fields: Sequence[Field], values: Mapping[str, Any], language: str) -> dict[str, Any]:
    """All values of a block in a language: the fixed ones and its own."""
    return {field.name: field.value_in(language) if field.fixed else values.get(field.name) for field in fields}


def plain_value(field: Field, value: Any) -> str:
    """A value as text: of an image its address; "" for none."""
    if field.kind == "image":
        return image_value(value)["url"]
    return "" if value is None else str(value)


def part_of_value(field: Field, value: Any, part: str) -> str | None:
    """`alt`, `width` or `height` of an image, "" where it isn't known; None for what no value has."""
    if field.kind != "image" or part not in ("alt", "width", "height"):
        return None
    image = image_value(value)
    return image["alt"].strip() if part == "alt" else str(image["width" if part == "width" else "height"] or "")


def pieces_of_value(field: Field, value: Any, at: Piece, *, markup: bool) -> list[Piece]:
    """A value as it stands in a message: escaped for MJML (`markup`), or plain. Outputs in texts stay outputs.

    at: the bracket that it fills.
    """
    where = f"{at.where}, [[ {field.name} ]]"
    if value is None:
        return []
    if field.kind not in ("text", "rich_text"):
        text = plain_value(field, value)
        return [Piece(Kind.DATA, escape(text) if markup else text, where, at.line, field.name)]
    pieces = pieces_read(value.strip(), where)
    if field.kind == "rich_text":
        return _rich_pieces(pieces, where, at, markup=markup)
    return [
        Piece(Kind.DATA, escape(piece.text) if markup else piece.text, where, at.line, field.name)
        if piece.kind is Kind.DATA
        else piece
        for piece in pieces
    ]


def _rich_pieces(pieces: Sequence[Piece], where: str, at: Piece, *, markup: bool) -> list[Piece]:
    """Rich text is cleaned as a whole, with its outputs as opaque words meanwhile."""
    data = "".join(piece.text for piece in pieces if piece.kind is Kind.DATA)
    word = "jr"
    while word in data:
        word += "r"
    outputs = [piece for piece in pieces if piece.kind is not Kind.DATA]
    numbers = iter(range(len(outputs)))
    cleaned = rich_text_clean(
        "".join(piece.text if piece.kind is Kind.DATA else f"{word}{next(numbers)}z" for piece in pieces)
    )
    text = cleaned if markup else rich_text_plain(cleaned)
    filled: list[Piece] = []
    for number, part in enumerate(re.split(rf"{word}(\d+)z", text)):
        if number % 2:
            filled.append(outputs[int(part)])
        elif part:
            filled.append(Piece(Kind.DATA, part, where, at.line))
    return filled
