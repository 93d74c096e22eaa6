"""What crosses to the apps above: who sends events, an event on its way, and one as it was written down."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

Shape = Literal["own", "segment"]
"""How a body tells of events: as the API's own resource, or as Segment's libraries do."""


@dataclass(frozen=True, slots=True)
class EventSource:
    """Who sends events. name: stands as their source, and message ids are its own; numbers: whose customer numbers and
    device ids it sends, so that two sources of one shop mean the same people; trusted: kinds of identifiers that count
    as verified when it sends them."""

    name: str
    numbers: str
    trusted: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event that was recorded just now, for the first time.

    profile_id: None for somebody not known; name: unified, as schemas know it; recorded_at: of its row, the same for
    all of a micro-batch; source: whose numbers of orders and customers it speaks of (`EventSource.numbers`).
    """

    profile_id: int | None
    name: str
    occurred_at: datetime
    recorded_at: datetime
    message_id: str
    properties: Mapping[str, Any]
    source: str = ""


class Entry(NamedTuple):
    """What one request or delivery brought, as it is on its way.

    id: the stream's own; kind: the call, where its address says it; body: JSON as it came, an object or a list; origin:
    of a broker's delivery, the same however often it is delivered: ids are made of it for events that have none;
    aside: for what is no events, why it is to be set aside whole: a code and words.
    """

    id: str
    source: EventSource
    shape: Shape
    kind: str
    received_at: datetime
    body: bytes
    origin: str = ""
    aside: tuple[str, str] | None = None
