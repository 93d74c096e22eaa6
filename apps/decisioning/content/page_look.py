"""How a brand looks and speaks on the customers' pages: its colour with enough contrast, and its words. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from apps.foundation.core.text import is_blank

from .fields import colour_is_valid, language_is_valid

WORDS: Final[Mapping[str, int]] = {"name": 60, "title": 80, "intro": 400, "goodbye": 300}
"""What a brand may say in its own words, and with how many characters at most."""
CONTRAST: Final = 4.5
"""The least contrast of text with what is behind it (WCAG 2.2, 1.4.3)."""
_PAPER: Final = "#ffffff"
_DARK_PAPER: Final = "#18211f"
_DARK_INK: Final = "#062b27"

Rgb = tuple[int, int, int]


def _rgb(colour: str) -> Rgb:
    digits = colour.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)


def _luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2, «relative luminance»)."""
    parts = [part / 255 for part in _rgb(colour)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as #1a2b3c, from 1 to 21 (WCAG 2.2, «contrast ratio»)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def mixed(colour: str, other: str, share: float) -> str:
    """A colour with a share, from 0 to 1, of another."""
    parts = (round(a + (b - a) * share) for a, b in zip(_rgb(colour), _rgb(other), strict=True))
    return "#" + "".join(f"{part:02x}" for part in parts)


def accent_fault(colour: Any) -> str:
    """What is wrong with the colour of buttons and links, "" for nothing."""
    if not colour_is_valid(colour) or not colour.startswith("#"):
        return "must be a colour such as #1a5446"
    ratio = contrast(colour, _PAPER)
    if ratio < CONTRAST:
        return f"has a contrast of {ratio:.1f} : 1 with white; to be read it needs {CONTRAST} : 1: take a darker one"
    return ""


def words_faults(words: Any) -> list[str]:
    """What is wrong with the brand's own words, by kind and then by language."""
    if not isinstance(words, dict) or not all(isinstance(own, dict) for own in words.values()):
        return [f"must be {', '.join(WORDS)}, each by language"]
    faults = [f"{kind} is none of {', '.join(WORDS)}" for kind in words if kind not in WORDS]
    for kind, own in words.items():
        for language, text in own.items():
            if not language_is_valid(language):
                faults.append(f"{language} is not a language tag such as en or de-AT")
            elif not isinstance(text, str) or is_blank(text) or "\n" in text or len(text) > WORDS.get(kind, 0):
                faults.append(f"{kind}, {language}: must be one line of at most {WORDS.get(kind, 0)} characters")
            elif any(bracket in text for bracket in "{}[]<>"):
                faults.append(f"{kind}, {language}: must be plain words, without brackets")
    return faults


def words_of(words: Mapping[str, Mapping[str, str]], language: str) -> dict[str, str]:
    """The brand's words in a language, or in the one without its region; what it does not say is not there."""
    return {
        kind: text
        for kind, own in words.items()
        if (text := own.get(language) or own.get(language.partition("-")[0], ""))
    }


def accent_styles(colour: str) -> str:
    """The styles by which pages take a colour, in light and in dark. In dark it is as much lighter as it must be."""
    light = next(
        shade
        for step in range(21)
        if min(contrast(shade := mixed(colour, "#ffffff", step / 20), back) for back in (_DARK_PAPER, _DARK_INK))
        >= CONTRAST
    )
    return (
        f":root{{--accent:{colour};--accent-ink:{_PAPER};--accent-soft:{mixed(colour, '#ffffff', 0.88)}}}\n"
        "@media (prefers-color-scheme:dark){"
        f":root{{--accent:{light};--accent-ink:{_DARK_INK};--accent-soft:{mixed(colour, _DARK_PAPER, 0.75)}}}}}\n"
    )
