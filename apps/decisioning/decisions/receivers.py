"""What this app does at the news of others."""

from typing import Any

from django.dispatch import receiver

from apps.decisioning.playbooks.models import Playbook, Run
from apps.decisioning.playbooks.signals import run_batches_ready, run_cancelled
from apps.foundation.core.queue import enqueue_on_commit

from .signals import run_stopped
from .tasks import mail_decide, run_decide

_WORKERS_WOKEN = 4
"""Tasks for one run: so many workers share it; more would leave none for other runs."""


@receiver(run_batches_ready, dispatch_uid="decisions")
def batches_get_decided(*, run_id: int, **kwargs: Any) -> None:
    """Batches that are ready wake workers."""
    run = Run.objects.get(pk=run_id)
    if run.trigger == Playbook.Trigger.SYSTEM:
        enqueue_on_commit(mail_decide, run_id)
        return
    batches = run.batches.count()
    for _ in range(min(batches, _WORKERS_WOKEN)):
        enqueue_on_commit(run_decide, run_id)


@receiver(run_cancelled, dispatch_uid="decisions")
def delivery_gets_told(*, run_id: int, **kwargs: Any) -> None:
    """Delivery, which knows no playbooks, is told of a cancellation in the same transaction."""
    run_stopped.send(Run, run_id=run_id)
