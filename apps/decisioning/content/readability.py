"""How easy a text is to read: one known formula for each language, where there is one.

All give about 0 (hard) to 100 (easy) from two figures: words in a sentence (ASL) and syllables in a word (ASW), or
syllables in a hundred words. Syllables are counted as groups of vowels, which is what the formulas' authors allow for
by machine; a text of fewer than LEAST_WORDS words isn't judged, because one long word would decide.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

LEAST_WORDS: Final = 10
_SENTENCE = re.compile(r"[.!?…]+(?:\s|$)|\n+")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_VOWELS = re.compile(r"[aeiouyàáâãäåæèéêëìíîïòóôõöøœùúûüýÿ]+")
_SPANISH = re.compile(r"[aeiouáéíóúü]+")


@dataclass(frozen=True, slots=True)
class Formula:
    """name: what it is called, with author and year; score: from words in a sentence and syllables in a word."""

    name: str
    score: Callable[[float, float], float]


FORMULAS: Final[Mapping[str, Formula]] = {
    "en": Formula("Flesch Reading Ease (Flesch 1948)", lambda asl, asw: 206.835 - 1.015 * asl - 84.6 * asw),
    "de": Formula("Flesch-Index for German (Amstad 1978)", lambda asl, asw: 180.0 - asl - 58.5 * asw),
    "fr": Formula("Kandel and Moles (1958)", lambda asl, asw: 207.0 - 1.015 * asl - 73.6 * asw),
    "es": Formula("Fernández Huerta (1959)", lambda asl, asw: 206.84 - 1.02 * asl - 60.0 * asw),
    "it": Formula("Flesch-Vacca (Franchina and Vacca 1972)", lambda asl, asw: 217.0 - 1.3 * asl - 60.0 * asw),
    "nl": Formula("Leesindex (Douma 1960)", lambda asl, asw: 206.835 - 0.93 * asl - 77.0 * asw),
}
"""Language without region → its formula. A language that isn't here has none, and its texts aren't judged."""


def reading_formula(language: str) -> Formula | None:
    """The formula of a language, or None."""
    return FORMULAS.get(language.split("-")[0])


def reading_ease(text: str, language: str) -> float | None:
    """The score of a text by its language's formula; None without one, or for a text too short to judge."""
    formula = reading_formula(language)
    words = _WORD.findall(text.casefold())
    if formula is None or len(words) < LEAST_WORDS:
        return None
    sentences = sum(1 for part in _SENTENCE.split(text) if _WORD.search(part)) or 1
    syllables = sum(_syllables(word, language.split("-")[0]) for word in words)
    return formula.score(len(words) / sentences, syllables / len(words))


def _syllables(word: str, language: str) -> int:
    """Groups of vowels, at least one; in English and French a silent e at the end doesn't count."""
    groups = len((_SPANISH if language == "es" else _VOWELS).findall(word))
    silent = (language == "en" and re.search(r"[^aeiouyl]e$", word)) or (language == "fr" and re.search(r"es?$", word))
    return max(1, groups - (1 if silent and groups > 1 else 0))
