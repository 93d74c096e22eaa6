"""What this app does at the news of others, and of its own."""

from collections.abc import Sequence
from typing import Any

from django.dispatch import receiver

from apps.data.events.signals import events_recorded
from apps.foundation.core.queue import enqueue_on_commit

from .models import Playbook
from .signals import journeys_due, mails_wanted, run_started
from .tasks import journeys_tick, mails_tick, run_plan, triggers_tick


@receiver(run_started, dispatch_uid="playbooks")
def run_gets_planned(*, run_id: int, **kwargs: Any) -> None:
    """A started run wakes a worker that puts its audience down."""
    enqueue_on_commit(run_plan, run_id)


@receiver(journeys_due, dispatch_uid="playbooks")
def journeys_get_moved(**kwargs: Any) -> None:
    """Journeys that begin wake a worker that moves them on."""
    enqueue_on_commit(journeys_tick)


@receiver(mails_wanted, dispatch_uid="playbooks")
def mails_get_carried(**kwargs: Any) -> None:
    """System mail that is wanted wakes a worker that puts it into a run."""
    enqueue_on_commit(mails_tick)


@receiver(events_recorded, dispatch_uid="playbooks")
def events_get_looked_at(*, names: Sequence[str], **kwargs: Any) -> None:
    """Events that some playbook waits for wake a worker that looks at them."""
    waited_for = Playbook.objects.filter(published__spec__event__name__in=list(names))
    for name in set(waited_for.values_list("published__spec__event__name", flat=True)):
        enqueue_on_commit(triggers_tick, name)
