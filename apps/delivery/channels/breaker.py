"""A breaker for a provider: after failures it is left alone for a while, longer each time."""

from dataclasses import dataclass


@dataclass(slots=True)
class Breaker:
    """Times are seconds of one clock that never goes back. The first pause is `first`, it doubles up to `most`."""

    first: float = 2.0
    most: float = 30.0
    open_until: float = 0.0
    pause: float = 0.0

    def allows(self, at: float) -> bool:
        """Whether the provider may be tried."""
        return at >= self.open_until

    def failed(self, at: float) -> None:
        """It was out of reach."""
        self.pause = min(self.most, self.pause * 2 or self.first)
        self.open_until = at + self.pause

    def worked(self) -> None:
        """It took something, or answered for a message."""
        self.pause = 0.0
        self.open_until = 0.0
