"""What goes into a channel, and what comes back. Plain data, no Django."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message as a channel takes it.

    sender: where bounces go; recipient: one address; content: the message's bytes, lines ended by CRLF, before any
    transport's own escaping, or what the channel makes of a message instead; key: the message's id.
    """

    sender: str
    recipient: str
    content: bytes
    key: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A provider took the message. code, response: in the provider's words; the response may hold its queue id."""

    code: str
    response: str
