"""Background work of features."""

from celery import shared_task

from . import online


@shared_task
def stale_copies_sweep() -> None:
    """Make online copies void that could not be, because Redis was away or a process died."""
    online.stale_copies_void()
