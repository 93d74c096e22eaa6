"""What sending does at the news of others."""

import logging
from typing import Any
from uuid import UUID

from django.db import Error as AnyDatabaseError
from django.dispatch import receiver

from apps.decisioning.decisions.signals import decisions_made, run_stopped
from apps.foundation.core.queue import enqueue_on_commit

from .services import dispatch_take_up, run_stop
from .tasks import to_wake

logger = logging.getLogger(__name__)


@receiver(decisions_made, dispatch_uid="sending")
def decisions_become_messages(
    *, run_id: int, first_id: UUID | None = None, last_id: UUID | None = None, **kwargs: Any
) -> None:
    """New decisions are taken up at once, and a sender is woken. What fails here, the sweep does."""
    try:
        taken = dispatch_take_up(run_id=run_id, first_id=first_id, last_id=last_id)
    except AnyDatabaseError as error:  # the decisions are committed; their worker is not to fail for us
        logger.warning("decisions of run %s wait for the sweep (%s)", run_id, type(error).__name__)
        return
    if taken:
        for task, kind in to_wake(run_id):
            enqueue_on_commit(task, kind)


@receiver(run_stopped, dispatch_uid="sending")
def run_gets_cancelled(*, run_id: int, **kwargs: Any) -> None:
    """A cancelled run's messages are cancelled in the same transaction."""
    run_stop(run_id=run_id)
