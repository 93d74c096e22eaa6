"""What this app does at its own news: it wakes workers."""

from typing import Any
from uuid import UUID

from django.dispatch import receiver

from apps.foundation.core.queue import enqueue_on_commit
from apps.foundation.governance.signals import notice_wanted

from . import tasks
from .signals import dry_run_moves, own_test_waits


@receiver(dry_run_moves, dispatch_uid="console")
def dry_run_gets_done(*, dry_run_id: UUID, **kwargs: Any) -> None:
    """A dry run that has something open wakes a worker."""
    enqueue_on_commit(tasks.dry_run_go, str(dry_run_id))


@receiver(own_test_waits, dispatch_uid="console")
def test_gets_sent(*, test_send_id: UUID, **kwargs: Any) -> None:
    """A test that waits wakes a sender."""
    enqueue_on_commit(tasks.own_test_hand_over, str(test_send_id))


@receiver(notice_wanted, dispatch_uid="console")
def notices_get_mailed(**kwargs: Any) -> None:
    """Notices that wait wake a worker."""
    enqueue_on_commit(tasks.notices_mail)
