"""What an SMS is: its text, and how many segments carry it (3GPP TS 23.038, 6.2.1 and 23.040, 9.2.3.24.1). Pure."""

from dataclasses import dataclass
from typing import Final

from apps.foundation.core.errors import PermanentError

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED: Final = frozenset("\f^{}\\[~]|€")
"""Characters that take two places of the seven-bit alphabet."""
TOO_LONG: Final = "too_long"
MOST: Final = 1600
"""Characters that Twilio takes of one message."""


@dataclass(frozen=True, slots=True)
class Segments:
    """How a text travels. encoding: `GSM-7` or `UCS-2`; count: of the segments that are paid for."""

    encoding: str
    count: int


def segments_of(text: str) -> Segments:
    """How many segments a text takes. One character beyond the seven-bit alphabet makes all of them UCS-2.

    What takes two places is never cut in half by the end of a segment.
    """
    if all(c in _BASIC or c in _EXTENDED for c in text):
        return Segments("GSM-7", _count([2 if c in _EXTENDED else 1 for c in text], 160, 153))
    return Segments("UCS-2", _count([2 if ord(c) > 0xFFFF else 1 for c in text], 70, 67))


def _count(places: list[int], alone: int, joined: int) -> int:
    if sum(places) <= alone:
        return 1
    count, room = 1, joined
    for size in places:
        if size > room:
            count, room = count + 1, joined
        room -= size
    return count


def sms_bytes(text: str, *, most: int) -> bytes:
    """A message's plain text as an SMS has it. most: segments. Raises PermanentError `too_long`."""
    text = "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").strip().split("\n"))
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    found = segments_of(text)
    if found.count > most or len(text) > MOST:
        raise PermanentError(TOO_LONG, f"{found.count} segments of {found.encoding}, and {most} are allowed")
    return text.encode()
