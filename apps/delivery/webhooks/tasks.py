"""Background work of webhooks. A wake-up that is lost costs seconds: beat wakes again."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings

from apps.foundation.core.clock import now

from . import services


@shared_task
def webhooks_deliver() -> None:
    """Try what is due."""
    services.deliver_due()


@shared_task
def webhooks_forget() -> None:
    """Delete old news."""
    services.events_forget(before=now() - timedelta(days=settings.WEBHOOK_KEEP_DAYS))
