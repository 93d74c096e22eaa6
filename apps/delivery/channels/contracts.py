"""What goes into a channel, and what comes back. Plain data, no Django."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Envelope(NamedTuple):
    """One message as a channel takes it.

    sender: where bounces go; recipient: one address; content: the message's bytes, lines ended by CRLF, before any
    transport's own escaping, or what the channel makes of a message instead; key: the message's id; dots: where in the
    content lines begin with a dot, None where that is not known.
    """

    sender: str
    recipient: str
    content: bytes
    key: str = ""
    dots: Sequence[int] | None = None


class Receipt(NamedTuple):
    """A provider took the message. code, response: in the provider's words; the response may hold its queue id."""

    code: str
    response: str


Outcome = Receipt | Exception
"""What came of a message: a receipt, or one of the errors that `errors.py` and `core.errors` name."""


class Caller(Protocol):
    """Who has many messages to hand over, and is asked and told about each."""

    def next(self) -> Envelope | None:
        """The next to go out; None when none may for now. Asked again after each outcome."""

    def may_end(self, envelope: Envelope) -> bool:
        """The last word, when all but the last line went out: after True it can't be taken back."""

    def done(self, envelope: Envelope, outcome: Outcome) -> None:
        """What came of it."""
