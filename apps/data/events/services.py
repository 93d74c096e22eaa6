"""Recording what people did."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid

from .models import Event
from .signals import events_recorded

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

    profile_id: None for somebody not known; recorded_at: now unless given. Sends `events_recorded` on commit.
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
            transaction.on_commit(lambda: events_recorded.send_robust(Event, names=[name]) and None)
    return created
