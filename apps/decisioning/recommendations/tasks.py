"""Background work of recommendations."""

from celery import shared_task

from .services import recommendation_set_refresh


@shared_task
def recommendations_refresh() -> None:
    """Compute the next set, if there are new orders. Beat asks hourly."""
    recommendation_set_refresh()
