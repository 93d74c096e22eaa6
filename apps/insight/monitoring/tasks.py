"""Background work of monitoring."""

from celery import shared_task

from apps.foundation.core.clock import now

from . import list_checks, quality


@shared_task
def quality_measure() -> None:
    """Measure how good the data is; called by beat each night, and by the page that shows it."""
    quality.quality_measure()


@shared_task
def lists_tick() -> None:
    """Look at the addresses of coming runs; called by beat every few minutes, and when somebody asks for it."""
    list_checks.lists_look(at=now())
