"""What the gate says, and under which circumstances a choice was made."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from apps.foundation.core.wall_clock import Quiet


class GateAnswer(NamedTuple):
    """What holds for one person, one purpose and one channel, and why.

    allowed: whether a message may go out; reason: `""`, `no_consent`, `withdrawn`, `wording_outdated`, `restricted`,
    `channel_off`, `topic_off`, `paused`, `suppressed` or `invalid_address`; identifier_id, digest, sealed: the main
    identifier of the channel's kind (None, b"", b"" without one), which `profiles.addresses.addresses_open` opens;
    quiet: the hours in which it must wait, on the wall in `zone`; frequency: how often they want messages that need
    consent, of `Preference.Frequency`; fault: of `invalid_address`, what the address was found to be when it was looked
    at (a code of `profiles.rules`), "" where there is none.
    """

    allowed: bool
    reason: str
    identifier_id: int | None
    digest: bytes
    sealed: bytes
    quiet: Quiet | None = None
    zone: str = ""
    frequency: str = "each"
    fault: str = ""

    @property
    def held_up_by(self) -> str:
        """The reason, with the fault of the address where it was found one: `invalid_address:no_mail`."""
        return f"{self.reason}:{self.fault}" if self.fault else self.reason


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
    wording_version_id: int | None = None


@dataclass(frozen=True, slots=True)
class WordingShown:
    """A text to show before somebody agrees.

    id: of the approved version, None (and version 0) for the purpose's own description, where no wording is published;
    digest: SHA-256 of the text, in hex; locale: the language it is written in.
    """

    id: int | None
    version: int
    text: str
    digest: str
    locale: str


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """What somebody agreed to says something else by now. until: their agreement holds until then; None: no more."""

    purpose: str
    channel: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Whence a choice came over the network. ip: "" where it can't be told."""

    ip: str
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking. granted: holds now; pending: once it is confirmed; purposes each. opt_in: what waits for
    the confirmation, for a row of one's own to refer to, None where nothing does; no answer to who asks tells of it.
    """

    granted: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    opt_in: UUID | None = field(default=None, compare=False)


class Confirmed(StrEnum):
    """What came of confirming. AGAIN: it was confirmed already; EXPIRED: too late; UNKNOWN: nothing waits for it."""

    NOW = "now"
    AGAIN = "again"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
