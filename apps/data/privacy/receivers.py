"""What follows when a request is to be carried out."""

from typing import Any

from django.dispatch import receiver

from apps.foundation.core.queue import enqueue_on_commit

from .models import RightsRequest
from .signals import request_waits
from .tasks import request_work


@receiver(request_waits, dispatch_uid="privacy")
def request_gets_carried_out(request: RightsRequest, **kwargs: Any) -> None:
    """A request wakes a worker once it is committed."""
    enqueue_on_commit(request_work, request.pk)
