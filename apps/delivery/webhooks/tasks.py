"""Background work of webhooks. A wake-up that is lost costs seconds: beat wakes again."""

from celery import shared_task

from . import services


@shared_task
def webhooks_deliver() -> None:
    """Try what is due."""
    services.deliver_due()
