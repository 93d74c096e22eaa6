"""What events from brokers have in common: a delivery goes into the stream first, and is confirmed only then.

A broker delivers at least once. So that what comes again counts once, each delivery has an origin, which stays the
same however often it is delivered: events without an id of their own get theirs from it (`Entry.origin`).
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

import orjson
from django.conf import settings

from apps.foundation.accounts.api_keys import key_caller
from apps.foundation.accounts.contracts import Caller
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid

from .accepting import BATCH_MOST
from .contracts import EventSource, Shape
from .errors import StreamDown
from .reading import items_of
from .sources import SCOPE, source_of
from .stream import NewEntry, entries_add

logger = logging.getLogger(__name__)

AT_ONCE: Final = 500
"""Deliveries that are taken at once."""
GATHER_SECONDS: Final = 0.05
"""How long a broker is listened to until what came is put into the stream."""
_PAUSE: Final = 0.5
_ORIGIN_MOST: Final = 100


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a broker brought. origin: says which of all it ever brought; at: the moment that came with it, if any."""

    body: bytes
    origin: str
    at: datetime | None = None


def origin_of(*parts: object) -> str:
    """An origin from what tells a delivery from all others, short enough for an event's id."""
    text = "/".join(str(part) for part in parts)
    return text if len(text) <= _ORIGIN_MOST and text.isprintable() else sha256(text.encode()).hexdigest()


class Intake:
    """The way of deliveries into the stream, as a client of the API whose key this is.

    Raises Invalid (`key_refused`, `scope_missing`) where the key opens nothing, or its client may not send events.
    """

    def __init__(self, *, key: str, shape: Shape) -> None:
        self.shape = shape
        self._key = key
        self._source()

    def take(
        self, deliveries: Sequence[Delivery], *, stopping: Callable[[], bool], meanwhile: Callable[[], None]
    ) -> bool:
        """Put deliveries into the stream, waiting while it is full, Redis away or the key refused. True once all are in
        for good; False when it was told to stop before: then none may be confirmed, and all come again.

        meanwhile: called every half second of waiting, to keep the broker's connection alive.
        """
        left = list(deliveries)
        said = ""
        while left:
            try:
                source = self._source()
                taken = entries_add([entry_of(one, source=source, shape=self.shape) for one in left])
                left = [one for one, is_in in zip(left, taken, strict=True) if not is_in]
                problem = "too much waits to be written down" if left else ""
            except (StreamDown, Invalid) as error:
                problem = error.message
            if problem != said:
                logger.warning("deliveries wait at the broker: %s", problem or "no more, they go on")
                said = problem
            if left:
                if stopping():
                    return False
                time.sleep(_PAUSE)
                meanwhile()
        return True

    def _source(self) -> EventSource:
        """Whose events these are. The key is looked at again and again, as with each request: it may be revoked."""
        caller = key_caller(self._key)
        if caller is None:
            raise Invalid("key_refused", "The key in EVENT_BROKER_KEY opens nothing: issue one in the admin")
        return source_of(_may_send(caller))


def entry_of(delivery: Delivery, *, source: EventSource, shape: Shape) -> NewEntry:
    """A delivery as it goes into the stream. What is no events goes there too, to become a dead letter: the broker
    would bring it for ever. What is wrong with single events is found when they are written down."""
    body, count, aside = delivery.body, 1, None
    if len(body) > settings.EVENT_BODY_LIMIT:
        aside = "body_too_large", f"It has {len(body):,} bytes, of which {settings.EVENT_BODY_LIMIT:,} are kept"
        body = body[: settings.EVENT_BODY_LIMIT]
    else:
        try:
            count = len(items_of(orjson.loads(body)))
        except ValueError:
            aside = "json_invalid", "It is no JSON"
        else:
            if count == 0:
                aside = "batch_empty", "There is no event in it"
            elif count > BATCH_MOST:
                aside = "batch_too_large", f"It has more than {BATCH_MOST:,} events"
    count = 1 if aside else count
    return NewEntry(
        source=source, shape=shape, received_at=_moment(delivery), body=body, count=count, origin=delivery.origin,
        aside=aside,
    )  # fmt: skip


def _may_send(caller: Caller) -> Caller:
    if not caller.may(SCOPE):
        detail = f"The client {caller.code} lacks the scope {SCOPE}: an administrator can give it"
        raise Invalid("scope_missing", detail)
    return caller


def _moment(delivery: Delivery) -> datetime:
    """When it arrived at the broker, as far as that is believable: what waited there did not happen only now."""
    at = now()
    return delivery.at if delivery.at is not None and delivery.at <= at else at
