"""Background work of sending. A wake-up that is lost costs seconds: the sweep drives everything again."""

from typing import Any, Final

from celery import shared_task

from apps.data.consent.models import Channel
from apps.foundation.core.queue import enqueue_on_commit

from . import recovery, services, windows

URGENT_SECONDS: Final = 5.0


@shared_task
def window_send(kind: str = "email") -> None:
    """Send what is due by a kind of channel, for about a minute; then another one is woken if something is left."""
    if windows.messages_send(kind=Channel(kind)):
        enqueue_on_commit(window_send, kind)


@shared_task
def urgent_send(kind: str = "email") -> None:
    """Send what is transactional, for some seconds, on the queue of what is short: it waits behind no campaign."""
    if windows.messages_send(kind=Channel(kind), seconds=URGENT_SECONDS, urgent=True):
        enqueue_on_commit(urgent_send, kind)


@shared_task
def sending_sweep() -> None:
    """Settle what was dropped, and wake senders for what is due."""
    recovery.sweep()
    for kind in windows.kinds_set_up():
        if windows.urgent_waiting(kind):
            enqueue_on_commit(urgent_send, str(kind))
        for _ in range(recovery.senders_wanted(kind)):
            enqueue_on_commit(window_send, str(kind))


@shared_task
def decisions_take_up(run_id: int) -> None:
    """Take up the decisions of a run that have no message yet."""
    if services.dispatch_take_up(run_id=run_id):
        for task, kind in to_wake(run_id):
            enqueue_on_commit(task, kind)


def to_wake(run_id: int) -> list[tuple[Any, str]]:
    """The tasks that send a run's messages, each with what to call it with."""
    kind, urgent = services.channel_of(run_id)
    return [(urgent_send, kind), (window_send, kind)] if urgent else [(window_send, kind)]
