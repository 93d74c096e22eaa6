"""Background work of playbooks."""

from celery import shared_task

from apps.foundation.core.clock import now

from . import carrying, journeys, services, triggers


@shared_task
def run_plan(run_id: int) -> None:
    """Put the audience of a run down."""
    services.run_plan(run_id=run_id)


@shared_task
def runs_start_due() -> None:
    """Start what schedules ask for. Beat calls it every few seconds."""
    services.runs_start_due(at=now())


@shared_task
def mails_tick() -> None:
    """Put system mail that is wanted into runs. Whoever wants one wakes it; beat calls it for what was dropped."""
    carrying.mails_carry()


@shared_task
def journeys_tick() -> None:
    """Move on whoever is due. Beat calls it every few seconds, and whoever begins a journey."""
    journeys.journeys_advance(at=now())


@shared_task
def triggers_tick(name: str = "") -> None:
    """Look for what begins journeys; for one event, when it was just recorded. Beat calls it every few seconds."""
    if name:
        triggers.event_look(name=name)
    else:
        triggers.triggers_look(at=now())
