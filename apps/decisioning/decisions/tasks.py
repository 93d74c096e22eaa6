"""Background work of decisions."""

from celery import shared_task

from apps.decisioning.playbooks.tasks import run_plan
from apps.foundation.core.clock import now
from apps.foundation.core.queue import enqueue_on_commit

from . import ahead, digests, partitions, selectors, services


@shared_task
def run_decide(run_id: int) -> None:
    """Decide what is open in a run. Several of these at once share the work."""
    services.run_decide(run_id=run_id)


@shared_task
def mail_decide(run_id: int) -> None:
    """Decide what is open in a run of system mail: of its own queue, because one person waits for it."""
    services.run_decide(run_id=run_id)


@shared_task
def digests_tick() -> None:
    """Want the digests whose moment has come. Safe to run twice, and to lose: the next one finds what is due."""
    digests.digests_want()


@shared_task
def scheduled_precompute() -> None:
    """Put into Redis what the next sends look at of people. Safe to lose: it is made while they are decided about."""
    ahead.scheduled_precompute(at=now())


@shared_task
def answers_tend() -> None:
    """Make the tables of answers of the days to come."""
    partitions.answers_make(now())


@shared_task
def decisions_sweep() -> None:
    """Wake again what was dropped: runs without their audience, and runs with batches that nobody decides."""
    for run_id in selectors.runs_unplanned():
        enqueue_on_commit(run_plan, run_id)
    for run_id in selectors.runs_undecided():
        enqueue_on_commit(run_decide, run_id)
