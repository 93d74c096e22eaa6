"""Recording what people did."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid

from . import registry
from .contracts import RecordedEvent
from .models import Event
from .signals import events_recorded

logger = logging.getLogger(__name__)

_AHEAD = timedelta(minutes=5)


def event_record(
    *,
    profile_id: int | None,
    name: str,
    message_id: str,
    occurred_at: datetime,
    properties: Mapping[str, Any] | None = None,
    recorded_at: datetime | None = None,
) -> bool:
    """Record that something happened. False when the sender's `message_id` was recorded already: nothing changes then.

    profile_id: None for somebody not known; recorded_at: now unless given. Runs the steps of `registry` and sends
    `events_recorded` on commit.
    Raises Invalid for an empty or overlong name or id, and for a moment without a time zone or in the future.
    """
    for what, text in (("event_name", name), ("message_id", message_id)):
        if not text.strip() or len(text) > 120 or "\0" in text:
            raise Invalid(what, "Write 1 to 120 characters")
    at = recorded_at or now()
    if occurred_at.tzinfo is None or occurred_at > at + _AHEAD:
        raise Invalid("occurred_at", "The moment must have a time zone, and can't lie in the future")
    with transaction.atomic():
        _, created = Event.objects.get_or_create(
            message_id=message_id,
            defaults={
                "profile_id": profile_id,
                "name": name,
                "occurred_at": occurred_at,
                "recorded_at": at,
                "properties": dict(properties or {}),
            },
        )
        if created:
            events_follow([RecordedEvent(profile_id, name, occurred_at, at, message_id, dict(properties or {}))])
    return created


def events_follow(events: Sequence[RecordedEvent]) -> None:
    """What follows when events were recorded. Called once for each, in the transaction that writes them."""
    for step in registry.batch_steps:
        step(events)
    transaction.on_commit(lambda: _tell(events))


def _tell(events: Sequence[RecordedEvent]) -> None:
    for step in registry.after_commit:
        try:
            step(events)
        except Exception:  # the events are recorded; whoever missed them has a sweep
            logger.exception("%s.%s failed after events were recorded", step.__module__, step.__qualname__)
    events_recorded.send_robust(Event, names=sorted({event.name for event in events}))
