"""What crosses to the apps above: an event as it was written down."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event that was recorded just now, for the first time.

    profile_id: None for somebody not known; name: unified, as schemas know it; recorded_at: of its row, the same for
    all of a micro-batch.
    """

    profile_id: int | None
    name: str
    occurred_at: datetime
    recorded_at: datetime
    message_id: str
    properties: Mapping[str, Any]
