"""What an SMS is: its text, in as many segments as it may have. Pure."""

from typing import Final

from apps.foundation.core.errors import PermanentError
from apps.foundation.core.gsm import segments_of

TOO_LONG: Final = "too_long"
MOST: Final = 1600
"""Characters that Twilio takes of one message."""


def sms_bytes(text: str, *, most: int) -> bytes:
    """A message's plain text as an SMS has it. most: segments. Raises PermanentError `too_long`."""
    text = "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").strip().split("\n"))
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    found = segments_of(text)
    if found.count > most or len(text) > MOST:
        raise PermanentError(TOO_LONG, f"{found.count} segments of {found.encoding}, and {most} are allowed")
    return text.encode()
