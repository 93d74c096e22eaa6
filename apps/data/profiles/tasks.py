"""Background work of profiles."""

from celery import shared_task

from . import asking


@shared_task
def links_answer() -> None:
    """Look who has the addresses that were typed in. Typing one in wakes it; beat calls it for what was dropped."""
    asking.links_asked_answer()
