"""What the gate says, and under which circumstances a choice was made."""

from dataclasses import dataclass
from typing import Any


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


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How a choice came about, as the ledger keeps it: see `models.ConsentRecord`."""

    lawful_basis: str = "consent"
    wording_digest: str = ""
    locale: str = ""
    policy_version: str = ""
    jurisdiction: str = ""
    gpc: bool | None = None
    confirmation: dict[str, Any] | None = None
