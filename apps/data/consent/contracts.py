"""What the gate says, for those who ask it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """What holds for one person, one purpose and one channel, and why.

    allowed: whether a message may go out; reason: `""`, `no_consent`, `withdrawn`, `suppressed` or
    `invalid_address`; identifier_id, address, digest: the main identifier of the channel's kind
    (None, "", b"" without one).
    """

    allowed: bool
    reason: str
    identifier_id: int | None
    address: str
    digest: bytes
