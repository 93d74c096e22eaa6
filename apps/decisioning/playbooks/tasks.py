"""Background work of playbooks."""

from celery import shared_task

from apps.foundation.core.clock import now

from . import services


@shared_task
def run_plan(run_id: int) -> None:
    """Put the audience of a run down."""
    services.run_plan(run_id=run_id)


@shared_task
def runs_start_due() -> None:
    """Start what schedules ask for. Beat calls it every few seconds."""
    services.runs_start_due(at=now())
