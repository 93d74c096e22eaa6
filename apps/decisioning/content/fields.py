"""The fields of block types: how they are declared, what a block may put in, and how that looks in a message."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape, unescape
from typing import Any, Final

from apps.foundation.core.text import is_blank

from .contracts import Problem
from .links import link_fault
from .pieces import Kind, Piece, SourceRefused, pieces_read
from .plain_text import rich_text_clean, rich_text_plain
from .proof import proof_of

KINDS: Final = ("text", "rich_text", "image", "link", "colour", "choice", "number", "products")
MAX_TEXT: Final = 5_000
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_COLOUR = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_KEYS = frozenset({"name", "label", "kind", "fixed", "required", "max_length", "choices", "value", "help"})
_RESERVED = frozenset({"language", "slot", "brand", "items"})


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a block type.

    fixed: it has its `value` from the central team, for every block; max_length: visible characters of a text;
    value of a fixed field: one for all languages, or by language.
    """

    name: str
    label: str
    kind: str
    fixed: bool = False
    required: bool = True
    max_length: int | None = None
    choices: tuple[str, ...] = ()
    value: Any = None
    help: str = ""

    def value_in(self, language: str) -> Any:
        """A fixed field's value in a language: its own, that of the language without region, or any."""
        if not isinstance(self.value, dict):
            return self.value
        for wanted in (language, language.split("-")[0]):
            if wanted in self.value:
                return self.value[wanted]
        return next(iter(self.value.values()), None)


def colour_is_valid(value: object) -> bool:
    """Whether it is a colour as `#rgb` or `#rrggbb`."""
    return isinstance(value, str) and _COLOUR.fullmatch(value) is not None


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
        field = Field(
            name=name,
            label=str(entry.get("label") or name.replace("_", " ").capitalize()),
            kind=kind,
            fixed=entry.get("fixed") is True,
            required=entry.get("required", True) is True,
            max_length=entry.get("max_length"),
            choices=tuple(entry["choices"]) if isinstance(entry.get("choices"), list) else (),
            value=entry.get("value"),
            help=str(entry.get("help") or ""),
        )
        fields.append(field)
        limit = field.max_length
        if limit is not None and (type(limit) is not int or not 1 <= limit <= MAX_TEXT):
            wrong(name, f"max_length must be a number from 1 to {MAX_TEXT}")
        if kind == "choice" and not (field.choices and all(isinstance(c, str) and c.strip() for c in field.choices)):
            wrong(name, "needs choices: a list of texts")
        if kind == "products" and field.fixed:
            wrong(name, "products are chosen for each person, so they can't be fixed")
        if kind in ("link", "image", "colour", "choice") and not field.required:
            wrong(name, f"a {kind} is always required: a message can't have half a picture or link")
        if field.fixed:
            by_language = field.value if isinstance(field.value, dict) else {"en": field.value}
            for language, value in by_language.items():
                problems.extend(value_problems(field, value, f"{where}, {name}, value ({language})"))
        elif field.value is not None:
            wrong(name, "only a fixed field has a value here")
    if [field.kind for field in fields].count("products") > 1:
        problems.append(Problem("fields", 0, "", "only one field can be of kind products"))
    return fields


def value_problems(field: Field, value: object, where: str) -> list[Problem]:
    """What is wrong with a value for a field."""
    problem: Callable[[str], list[Problem]] = lambda mend: [Problem(where, 0, "", mend)]  # noqa: E731
    if field.kind == "products":
        return problem("is filled for each person: leave it out") if value not in (None, "") else []
    if field.kind == "number":
        if value in (None, "") and not field.required:
            return []
        return [] if _number(value) else problem("must be a number, such as 20 or 9.5")
    if value is None or (isinstance(value, str) and is_blank(value)):
        if value is not None and value.strip():
            return problem("would be read as empty: write something visible")
        return problem("is required") if field.required else []
    if not isinstance(value, str):
        return problem("must be a text")
    if "\x00" in value or any(ord(c) < 32 and c not in "\n\t\r" for c in value):
        return problem("holds control characters: type it anew")
    if field.kind in ("link", "image"):
        fault = link_fault(value, None)
        return problem(fault) if fault else []
    if field.kind == "colour":
        return [] if colour_is_valid(value) else problem("must be a colour such as #1a2b3c")
    if field.kind == "choice":
        return [] if value in field.choices else problem(f"must be one of {', '.join(field.choices)}")
    return _text_problems(field, value, where)


def _text_problems(field: Field, value: str, where: str) -> list[Problem]:
    if field.kind == "text" and ("\n" in value.strip() or "\r" in value.strip()):
        return [Problem(where, 0, "", "must be one line: use a field of kind rich_text for paragraphs")]
    try:
        pieces = pieces_read(value, where)
    except SourceRefused as refused:
        return [refused.problem]
    problems = [
        piece.problem("fields hold text and {{ … }} only, no logic") for piece in pieces if piece.kind is Kind.STATEMENT
    ]
    if problems:
        return problems
    proof = proof_of(pieces)
    problems.extend(proof.problems)
    words = "".join(piece.text if piece.kind is Kind.DATA else "……" for piece in pieces)
    if field.kind == "rich_text":
        for found in re.finditer(r"href\s*=\s*[\"']?([^\"'\s>]*)", words):
            fault = link_fault(unescape(found[1]), None)
            if fault:
                problems.append(Problem(where, 0, found[0][:120], fault))
        words = rich_text_plain(rich_text_clean(words))
        if is_blank(words) and field.required:
            problems.append(Problem(where, 0, "", "is required"))
    limit = field.max_length or MAX_TEXT
    if len(words.strip()) > limit:
        problems.append(Problem(where, 0, "", f"has {len(words.strip())} characters, {limit} are allowed: shorten it"))
    return problems


def _number(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return abs(value) < 10**12
    return isinstance(value, str) and re.fullmatch(r"-?\d{1,12}(\.\d{1,6})?", value) is not None


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
                problems.extend(value_problems(field, values.get(field.name), f"{where}, {language}, {field.label}"))
    return problems


def values_of(fields: Sequence[Field], values: Mapping[str, Any], language: str) -> dict[str, Any]:
    """All values of a block in a language: the fixed ones and its own."""
    return {field.name: field.value_in(language) if field.fixed else values.get(field.name) for field in fields}


def pieces_of_value(field: Field, value: Any, at: Piece, *, markup: bool) -> list[Piece]:
    """A value as it stands in a message: escaped for MJML (`markup`), or plain. Outputs in texts stay outputs.

    at: the bracket that it fills.
    """
    where = f"{at.where}, [[ {field.name} ]]"
    if value is None:
        return []
    if field.kind not in ("text", "rich_text"):
        text = str(value)
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
