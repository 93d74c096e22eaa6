"""What can go wrong on the way of an event."""

from apps.foundation.core.errors import DomainError, Invalid


class StreamFull(DomainError):
    """Too much waits to be written down: the sender must wait (503 with Retry-After)."""


class StreamDown(DomainError):
    """The stream takes nothing: the sender must try again (503 with Retry-After)."""


class TooLarge(Invalid):
    """More bytes or events than are taken at once."""


class Unreadable(Exception):
    """Something sent can't be read as an event. reason: a code; says: why, without its values."""

    def __init__(self, reason: str, says: str) -> None:
        super().__init__(says)
        self.reason = reason
        self.says = says
