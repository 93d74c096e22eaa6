"""Background work of monitoring."""

from celery import shared_task

from . import quality


@shared_task
def quality_measure() -> None:
    """Measure how good the data is; called by beat each night, and by the page that shows it."""
    quality.quality_measure()
