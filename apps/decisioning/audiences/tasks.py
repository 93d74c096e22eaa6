"""Background work of audiences."""

from celery import shared_task

from apps.foundation.core.clock import now

from . import watching


@shared_task
def audiences_tick() -> None:
    """Tell who entered watched audiences and who left them. Beat calls it every minute."""
    watching.audiences_look(at=now())
