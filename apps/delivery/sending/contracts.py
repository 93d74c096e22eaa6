"""What passes between the parts of delivery, and what it tells others. Plain data.

What is made for each message is a named tuple: a frozen dataclass takes Python four times as long.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from apps.data.profiles.addresses import Opened
from apps.decisioning.content.contracts import Rendered
from apps.delivery.channels.contracts import Envelope, Receipt


class Channel(Protocol):
    """What sending needs of a channel. `apps.delivery.channels.errors` says what may come instead of a receipt."""

    def open(self) -> None:
        """Get ready; nothing when it is. Raises Unavailable."""

    def hand_over(self, envelope: Envelope, before_end: Callable[[], bool]) -> Receipt:
        """Hand one message over; `before_end` has the last word before it can no longer be taken back."""

    def close(self) -> None:
        """Let go of the provider."""


class Claimed(NamedTuple):
    """A claimed message, with what rendering it takes.

    inputs: as it was decided with; key: the id as text, by which envelopes, statements and the hot path know it; fault:
    why they can't be read (`erased`, `tampered`), then it must not go out; opened: the address, with all that it was
    opened from.
    """

    id: UUID
    fence: int
    dispatch_id: int
    profile_id: int
    compiled_id: int | None
    address_digest: bytes
    key_id: str
    dated_at: datetime | None
    inputs: Mapping[str, Any]
    address: str
    key: str
    fault: str = ""
    opened: Opened | None = None


class LetterTerms(NamedTuple):
    """Who a message is from. list_label: its purpose, "" for mail that nobody can leave."""

    from_name: str
    from_email: str
    reply_to: str
    list_label: str


class Made(NamedTuple):
    """A person's message: as it reads, and as bytes. dots: see `Envelope`."""

    rendered: Rendered
    content: bytes
    dots: Sequence[int] | None = None


class Prepared(NamedTuple):
    """A claimed message with its bytes. digest: SHA-256 of them, in hex; tracked: its links tell that they were
    followed; dots: see `Envelope`.
    """

    claimed: Claimed
    address: str
    key_id: str
    dated_at: datetime
    content: bytes
    digest: str
    tracked: bool = False
    dots: Sequence[int] | None = None


class Passed(NamedTuple):
    """A message that passed the gate and is in `sending`; number: of its attempt, from 1."""

    prepared: Prepared
    number: int


class Result(NamedTuple):
    """What came of an attempt. message_id: as text; outcome: of DeliveryAttempt.Outcome; reason: why it failed, if it
    did."""

    message_id: str
    fence: int
    number: int
    outcome: str
    code: str = ""
    response: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Something heard of a message: see `models.MessageEvent`.

    source: unique by whoever tells it and what; recipient: the address it is about, "" where that is not told: a report
    about another address than the message went to changes nothing; raw: what was said, to the letter.
    """

    message_id: UUID
    kind: str
    occurred_at: datetime
    source: str
    bounce: str = ""
    reason: str = ""
    code: str = ""
    response: str = ""
    recipient: str = ""
    link: int | None = None
    machine: str = ""
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class RunCounts:
    """Where the people of a run are. planned: decided about; withheld: by reason, at the decision or at the gate;
    sent: taken by the relay, whatever came of it later; by_tier: of those sent, by the tier that answered.
    """

    planned: int
    withheld: Mapping[str, int]
    queued: int
    sending: int
    sent: int
    failed: Mapping[str, int]
    uncertain: int
    cancelled: int
    by_tier: Mapping[str, int]

    @property
    def withheld_total(self) -> int:
        """All withheld, whatever the reason."""
        return sum(self.withheld.values())

    @property
    def failed_total(self) -> int:
        """All failed, whatever the reason."""
        return sum(self.failed.values())

    @property
    def finished(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self.queued and not self.sending


@dataclass(frozen=True, slots=True)
class CameBack:
    """What came back of a run's messages that went out. Counts are messages.

    tracked: those whose people agreed that opens and clicks are followed; opened, clicked: of these, by a person.
    """

    delivered: int
    bounced: int
    complained: int
    tracked: int
    opened: int
    clicked: int


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast messages were handed over lately. runs, messages: what it was measured on."""

    runs: int
    messages: int
    per_second: float
