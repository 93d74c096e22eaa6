"""What was seen of a message, on its way to the ledger. Plain data: no address, no IP, nothing of the person."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Seen:
    """A link that was followed, or a message that was opened.

    id: of this one look, for ever; message_id: of the message, or of the answer whose item was followed;
    kind: `clicked` or `opened`; link: its number in the message (None when opened);
    machine: what the request itself said of being one, "" if nothing.
    """

    id: str
    message_id: UUID
    kind: str
    at: datetime
    link: int | None = None
    machine: str = ""
