"""What a block type may say of a field, and what each language makes of it.

A declaration is a JSON object: `name`, `label`, `kind`, `help`, `required`, `fixed` with `value`, and the limits of its
kind (LIMITS). `by_language` gives some of them anew for a language: `{"max_length": 60, "by_language": {"de":
{"max_length": 80}}}`; de-AT takes those of de.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import Any, Final

from .links import host_is_valid
from .readability import FORMULAS

KINDS: Final = ("text", "rich_text", "image", "link", "colour", "choice", "number", "products")
MAX_TEXT: Final = 5_000
MAX_PIXELS: Final = 10_000
MAX_NUMBER: Final = 10**12
LIMITS: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("max_length", "reading_ease"),
    "rich_text": ("max_length", "reading_ease", "hosts"),
    "image": ("hosts", "alt_required", "min_width", "max_width", "min_height", "max_height"),
    "link": ("hosts",),
    "colour": ("choices",),
    "choice": ("choices",),
    "number": ("minimum", "maximum", "step"),
    "products": (),
}
"""Kind → the limits that it can have."""
_ANYWHERE: Final = frozenset({"max_length", "choices"})
"""Limits that every kind could name when only these two existed: passed over where they mean nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a flexible value may be, in one language.

    max_length: visible characters; choices: allowed values; hosts: those that links may go to, of the brand's (none
    named: all of them); widths and heights in pixels; reading_ease: the least score of the language's formula, from 0
    (hard) to 100 (easy); step: the number is the minimum (or 0) plus a multiple of it.
    """

    max_length: int | None = None
    choices: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    alt_required: bool = False
    min_width: int | None = None
    max_width: int | None = None
    min_height: int | None = None
    max_height: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    reading_ease: float | None = None


ALL_LIMITS: Final = tuple(part.name for part in fields(Limits))


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a block type.

    fixed: it has its `value` from the central team, for every block; value: one for all languages, or by language;
    limits: of a flexible field, in a language that `by_language` doesn't name.
    """

    name: str
    label: str
    kind: str
    fixed: bool = False
    required: bool = True
    value: Any = None
    help: str = ""
    limits: Limits = Limits()
    by_language: Mapping[str, Limits] = field(default_factory=dict)

    def value_in(self, language: str) -> Any:
        """A fixed field's value in a language: its own, that of the language without region, or any."""
        if not isinstance(self.value, dict) or (self.kind == "image" and "url" in self.value):
            return self.value
        for wanted in (language, language.split("-")[0]):
            if wanted in self.value:
                return self.value[wanted]
        return next(iter(self.value.values()), None)

    def limits_in(self, language: str) -> Limits:
        """Its limits in a language: its own, those of the language without region, or the common ones."""
        for wanted in (language, language.split("-")[0]):
            if wanted in self.by_language:
                return self.by_language[wanted]
        return self.limits


Wrong = Callable[[str, str], None]
"""Told of each fault: the piece meant, and what to do."""


def limits_read(kind: str, entry: Mapping[str, Any], wrong: Wrong, start: Limits | None = None) -> Limits:
    """The limits that an entry gives for a kind, on top of `start`. Limits of another kind are told."""
    found: dict[str, Any] = {}
    for key in ALL_LIMITS:
        if key not in entry or entry[key] is None:
            continue
        if key not in LIMITS[kind]:
            if key in _ANYWHERE:
                continue
            wrong(key, f"is no limit of a {kind.replace('_', ' ')}: take it out")
            continue
        value = entry[key]
        fault = _LIMIT_FAULTS[key](value)
        if fault:
            wrong(key, fault)
        else:
            found[key] = tuple(value) if isinstance(value, list) else value
    limits = replace(start or Limits(), **found)
    for least, most in (("min_width", "max_width"), ("min_height", "max_height"), ("minimum", "maximum")):
        low, high = getattr(limits, least), getattr(limits, most)
        if low is not None and high is not None and low > high:
            wrong(most, f"must not be below {least}")
    return limits


def languages_read(
    kind: str, entry: object, start: Limits, wrong: Wrong, language_is_valid: Callable[[object], bool]
) -> dict[str, Limits]:
    """Limits by language, each on top of the common ones."""
    if entry is None:
        return {}
    if not isinstance(entry, dict):
        wrong("by_language", 'must be languages with their limits: {"de": {"max_length": 80}}')
        return {}
    found: dict[str, Limits] = {}
    for language, limits in entry.items():
        if not language_is_valid(language):
            wrong(str(language), "is not a language tag such as de or de-AT")
        elif not isinstance(limits, dict) or not limits:
            wrong(str(language), "must be limits with their values")
        else:
            for key in sorted(set(limits) - set(ALL_LIMITS)):
                wrong(str(key), f"is no limit: use {', '.join(LIMITS[kind]) or 'none here'}")

            def wrong_here(token: str, mend: str, language: str = language) -> None:
                wrong(f"{token} ({language})", mend)

            found[language] = limits_read(kind, limits, wrong_here, start)
            if "reading_ease" in limits and language.split("-")[0] not in FORMULAS:
                wrong(f"reading_ease ({language})", f"no formula is known for {language}: there is one for {_SPOKEN}")
    return found


_SPOKEN = ", ".join(FORMULAS)


def _whole(least: int, most: int) -> Callable[[object], str]:
    def fault(value: object) -> str:
        fine = type(value) is int and least <= value <= most
        return "" if fine else f"must be a number from {least:,} to {most:,}"

    return fault


def _figure(value: object) -> str:
    fine = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER
    return "" if fine else "must be a number"


def _step(value: object) -> str:
    return _figure(value) or ("" if Decimal(str(value)) > 0 else "must be above 0")


def _score(value: object) -> str:
    fine = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100
    return "" if fine else "must be a score from 0 (hard) to 100 (easy)"


def _words(value: object) -> str:
    fine = isinstance(value, list) and value and all(isinstance(word, str) and word.strip() for word in value)
    return "" if fine else "must be a list of texts"


def _hosts(value: object) -> str:
    fine = isinstance(value, list) and value and all(isinstance(host, str) and host_is_valid(host) for host in value)
    return "" if fine else "must be a list of host names, such as shop.example"


def _yes(value: object) -> str:
    return "" if isinstance(value, bool) else "must be true or false"


_LIMIT_FAULTS: Final[Mapping[str, Callable[[object], str]]] = {
    "max_length": _whole(1, MAX_TEXT),
    "choices": _words,
    "hosts": _hosts,
    "alt_required": _yes,
    "min_width": _whole(1, MAX_PIXELS),
    "max_width": _whole(1, MAX_PIXELS),
    "min_height": _whole(1, MAX_PIXELS),
    "max_height": _whole(1, MAX_PIXELS),
    "minimum": _figure,
    "maximum": _figure,
    "step": _step,
    "reading_ease": _score,
}
