"""What is wrong with the value of a field, in one language; said for the one who typed it."""

import re
from collections.abc import Sequence
from decimal import Decimal
from html import unescape
from typing import Any, Final, TypedDict

from apps.foundation.core.text import is_blank

from .contracts import Problem
from .limits import MAX_PIXELS, MAX_TEXT, Field, Limits
from .links import link_fault
from .pieces import Kind, SourceRefused, pieces_read
from .plain_text import rich_text_clean, rich_text_plain
from .proof import proof_of
from .readability import LEAST_WORDS, reading_ease, reading_formula

MAX_ALT: Final = 300
_COLOUR = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_NUMBER = re.compile(r"-?\d{1,12}(\.\d{1,6})?")
_HREF = re.compile(r"href\s*=\s*[\"']?([^\"'\s>]*)")
_IMAGE_KEYS = frozenset({"url", "alt", "width", "height"})


class ImageValue(TypedDict):
    """The value of an image field. width and height in pixels, 0 where not known; alt: what it shows, for those who
    don't see it."""

    url: str
    alt: str
    width: int
    height: int


def colour_is_valid(value: object) -> bool:
    """Whether it is a colour as `#rgb` or `#rrggbb`."""
    return isinstance(value, str) and _COLOUR.fullmatch(value) is not None


def image_value(value: Any) -> ImageValue:
    """An image's value, also of the plain address that was stored before images had more."""
    if isinstance(value, dict):
        return {
            "url": str(value.get("url") or ""),
            "alt": str(value.get("alt") or ""),
            "width": _pixels(value.get("width")),
            "height": _pixels(value.get("height")),
        }
    return {"url": str(value or ""), "alt": "", "width": 0, "height": 0}


def value_is_empty(field: Field, value: Any) -> bool:
    """Whether nobody has written anything there."""
    if field.kind == "image":
        image = image_value(value)
        return not image["url"].strip() and not image["alt"].strip()
    return value is None or (isinstance(value, str) and not value.strip())


def value_problems(field: Field, value: object, where: str, language: str = "") -> list[Problem]:
    """What is wrong with a value for a field, in a language (whose limits hold)."""
    if field.kind == "products":
        return _told(where, "is filled for each person: leave it out") if value not in (None, "") else []
    limits = field.limits_in(language)
    if field.kind == "image":
        return _image_problems(field, limits, value, where)
    if field.kind == "number":
        return _number_problems(field, limits, value, where)
    if value is None or (isinstance(value, str) and is_blank(value)):
        if value is not None and value.strip():
            return _told(where, "would be read as empty: write something visible")
        return _told(where, "is required") if field.required else []
    if not isinstance(value, str):
        return _told(where, "must be a text")
    if _controls(value):
        return _told(where, "holds control characters: type it anew")
    if field.kind == "link":
        return _told(where, link_fault(value, limits.hosts or None))
    if field.kind == "colour":
        if not colour_is_valid(value):
            return _told(where, "must be a colour such as #1a2b3c")
        return [] if _allowed(value, limits) else _told(where, f"must be one of {', '.join(limits.choices)}")
    if field.kind == "choice":
        return [] if value in limits.choices else _told(where, f"must be one of {', '.join(limits.choices)}")
    return _text_problems(field, limits, value, where, language)


def words_of(field: Field, value: str) -> str:
    """The words of a text as a person reads them, an output `{{ … }}` as two characters."""
    pieces = pieces_read(value, "")
    words = "".join(piece.text if piece.kind is Kind.DATA else "……" for piece in pieces)
    return rich_text_plain(rich_text_clean(words)).strip() if field.kind == "rich_text" else words.strip()


def reading_note(field: Field, value: object, language: str) -> str:
    """What the reading formula says of a text whose type asks for it, for people; "" where it isn't asked for."""
    least = field.limits_in(language).reading_ease
    if least is None or not isinstance(value, str) or is_blank(value):
        return ""
    formula = reading_formula(language)
    if formula is None:
        return f"Reading level is not checked: no formula is known for {language}"
    try:
        score = reading_ease(words_of(field, value).replace("……", "Anna"), language)
    except SourceRefused:
        return ""
    if score is None:
        return f"Reading level is judged from {LEAST_WORDS} words on"
    return f"Reading ease {score:.0f} of at least {least:g}, by {formula.name}"


def _told(where: str, mend: str) -> list[Problem]:
    return [Problem(where, 0, "", mend)] if mend else []


def _controls(value: str) -> bool:
    return any(ord(c) < 32 and c not in "\n\t\r" for c in value)


def _allowed(value: str, limits: Limits) -> bool:
    return not limits.choices or value.casefold() in {choice.casefold() for choice in limits.choices}


def _text_problems(field: Field, limits: Limits, value: str, where: str, language: str) -> list[Problem]:
    if field.kind == "text" and ("\n" in value.strip() or "\r" in value.strip()):
        return _told(where, "must be one line: use a field of kind rich_text for paragraphs")
    try:
        pieces = pieces_read(value, where)
    except SourceRefused as refused:
        return [refused.problem]
    problems = [
        piece.problem("fields hold text and {{ … }} only, no logic") for piece in pieces if piece.kind is Kind.STATEMENT
    ]
    if problems:
        return problems
    problems.extend(proof_of(pieces).problems)
    if field.kind == "rich_text":
        marked = "".join(piece.text if piece.kind is Kind.DATA else "……" for piece in pieces)
        for found in _HREF.finditer(marked):
            fault = link_fault(unescape(found[1]), limits.hosts or None)
            if fault:
                problems.append(Problem(where, 0, found[0][:120], fault))
    words = words_of(field, value)
    if field.kind == "rich_text" and is_blank(words) and field.required:
        problems.append(Problem(where, 0, "", "is required"))
    limit = limits.max_length or MAX_TEXT
    if len(words) > limit:
        problems.append(Problem(where, 0, "", f"has {len(words)} characters, {limit} are allowed: shorten it"))
    if limits.reading_ease is not None:
        score = reading_ease(words.replace("……", "Anna"), language)
        if score is not None and score < limits.reading_ease:
            mend = (
                f"reads too hard: its reading ease is {score:.0f}, at least {limits.reading_ease:g} is asked for. "
                "Write shorter sentences and shorter words"
            )
            problems.append(Problem(where, 0, "", mend))
    return problems


def _pixels(value: object) -> int:
    if isinstance(value, str) and value.strip().isdecimal() and len(value.strip()) < 7:
        return int(value)
    return value if type(value) is int and value > 0 else 0


def _image_problems(field: Field, limits: Limits, value: object, where: str) -> list[Problem]:
    if isinstance(value, dict) and (strange := sorted(set(value) - _IMAGE_KEYS)):
        return _told(where, f"has {strange[0]}: an image has url, alt, width and height")
    if value is not None and not isinstance(value, str | dict):
        return _told(where, "must be an address, with alt, width and height")
    if value_is_empty(field, value):
        return _told(where, "is required")
    image = image_value(value)
    if not image["url"].strip():
        return _told(where, "has no address: write https://host/path")
    faults = [link_fault(image["url"], limits.hosts or None), _alt_fault(image["alt"], limits)]
    for side in ("width", "height"):
        given = value.get(side) if isinstance(value, dict) else None
        size = _pixels(given)
        least, most = getattr(limits, f"min_{side}"), getattr(limits, f"max_{side}")
        if given not in (None, "", 0) and not 1 <= size <= MAX_PIXELS:
            faults.append(f"{side} must be a number of pixels from 1 to {MAX_PIXELS:,}")
        elif not size and (least or most):
            faults.append(f"needs its {side} in pixels, because its type limits it")
        elif least and size < least:
            faults.append(f"is {size} pixels in {side}, at least {least} are needed: take a larger picture")
        elif most and size > most:
            faults.append(f"is {size} pixels in {side}, at most {most} are allowed: take a smaller picture")
    return [Problem(where, 0, "", fault) for fault in faults if fault]


def _alt_fault(alt: str, limits: Limits) -> str:
    if is_blank(alt):
        return "needs its alternative text: say what the picture shows" if limits.alt_required else ""
    if _controls(alt) or "\n" in alt or len(alt) > MAX_ALT:
        return f"has an alternative text that is not one line of at most {MAX_ALT} characters"
    if any(bracket in alt for bracket in ("{{", "{%", "{#", "[[", "}}", "%}", "#}", "]]")):
        return "has brackets in its alternative text, which are for the person's values: write plain words"
    return ""


def _number_problems(field: Field, limits: Limits, value: object, where: str) -> list[Problem]:
    if value in (None, "") and not field.required:
        return []
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not _NUMBER.fullmatch(str(value)):
        return _told(where, "must be a number, such as 20 or 9.5")
    number = Decimal(str(value))
    if limits.minimum is not None and number < Decimal(str(limits.minimum)):
        return _told(where, f"must be at least {limits.minimum:g}")
    if limits.maximum is not None and number > Decimal(str(limits.maximum)):
        return _told(where, f"must be at most {limits.maximum:g}")
    if limits.step is not None:
        start = Decimal(str(limits.minimum)) if limits.minimum is not None else Decimal(0)
        if (number - start) % Decimal(str(limits.step)):
            return _told(where, f"must be in steps of {limits.step:g}, from {start.normalize():f}")
    return []


def sizes_asked(limits: Limits) -> Sequence[str]:
    """What is asked of an image's size, for people."""
    said = []
    for side in ("width", "height"):
        least, most = getattr(limits, f"min_{side}"), getattr(limits, f"max_{side}")
        if least and most:
            said.append(f"{side} {least} to {most} pixels")
        elif least or most:
            said.append(f"{side} at {'least' if least else 'most'} {least or most} pixels")
    return said
