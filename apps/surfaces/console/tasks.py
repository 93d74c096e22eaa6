"""Background work of rehearsals and notices. A wake-up that is lost costs seconds: a sweep drives it again."""

from uuid import UUID

from celery import shared_task

from apps.foundation.core.clock import now
from apps.foundation.core.queue import enqueue_on_commit

from . import dry_runs, mailing, own_tests
from .selectors import runs_count_large


@shared_task
def dry_run_go(dry_run_id: str) -> None:
    """Do what is open of a dry run. Several of these at once share the work."""
    dry_runs.dry_run_go(dry_run_id=UUID(dry_run_id))


@shared_task
def own_test_hand_over(test_send_id: str) -> None:
    """Hand a test over to the mail server."""
    own_tests.own_test_hand_over(test_send_id=UUID(test_send_id))


@shared_task
def notices_mail() -> None:
    """Mail the notices that are due."""
    mailing.notices_mail(at=now())


@shared_task
def runs_count() -> None:
    """Count large runs for who looks at them next."""
    runs_count_large(at=now())


@shared_task
def rehearsals_sweep() -> None:
    """Wake what was dropped, and forget what is old."""
    for dry_run_id in dry_runs.dry_runs_dropped():
        enqueue_on_commit(dry_run_go, str(dry_run_id))
    for test_send_id in own_tests.own_tests_dropped():
        enqueue_on_commit(own_test_hand_over, str(test_send_id))
    dry_runs.dry_runs_forget()
