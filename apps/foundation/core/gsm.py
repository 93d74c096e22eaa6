"""The seven-bit alphabet of mobile phones, and how many segments a text takes (3GPP TS 23.038, 6.2.1 and 23.040,
9.2.3.24.1). Pure."""

from dataclasses import dataclass
from typing import Final

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED: Final = frozenset("\f^{}\\[~]|€")
"""Characters that take two places of the seven-bit alphabet."""


@dataclass(frozen=True, slots=True)
class Segments:
    """How a text travels. encoding: `GSM-7` or `UCS-2`; count: of the segments that are paid for; places: that it takes
    (seven bits each, or sixteen); room: those that so many segments have; beyond: characters of it that the seven-bit
    alphabet lacks, each once."""

    encoding: str
    count: int
    places: int
    room: int
    beyond: str = ""


def segments_of(text: str) -> Segments:
    """How many segments a text takes. One character beyond the seven-bit alphabet makes all of them UCS-2.

    What takes two places is never cut in half by the end of a segment.
    """
    beyond = "".join(dict.fromkeys(c for c in text if c not in _BASIC and c not in _EXTENDED))
    if not beyond:
        return _segments("GSM-7", [2 if c in _EXTENDED else 1 for c in text], 160, 153)
    return _segments("UCS-2", [2 if ord(c) > 0xFFFF else 1 for c in text], 70, 67, beyond)


def _segments(encoding: str, sizes: list[int], alone: int, joined: int, beyond: str = "") -> Segments:
    places = sum(sizes)
    if places <= alone:
        return Segments(encoding, 1, places, alone, beyond)
    count, room = 1, joined
    for size in sizes:
        if size > room:
            count, room = count + 1, joined
        room -= size
    return Segments(encoding, count, places, count * joined, beyond)
