"""What this app does at its own news."""

from typing import Any

from django.dispatch import receiver

from apps.foundation.core.queue import enqueue_on_commit

from .signals import news_waits
from .tasks import webhooks_deliver


@receiver(news_waits, dispatch_uid="webhooks")
def news_gets_carried_out(**kwargs: Any) -> None:
    """News wakes a worker once it is committed."""
    enqueue_on_commit(webhooks_deliver)
