"""What beat wakes."""

from datetime import UTC, datetime

from celery import shared_task

from apps.foundation.core.clock import now

from .partitions import partitions_drop, partitions_make

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@shared_task
def partitions_tend() -> None:
    """Make the tables of the months and days to come; drop the days of messages that nobody asks for any more."""
    partitions_make(now())
    partitions_drop(events_before=_BEGINNING, at=now())
