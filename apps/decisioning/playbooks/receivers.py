"""What this app does at the news of others, and of its own."""

from typing import Any

from django.dispatch import receiver

from apps.foundation.core.queue import enqueue_on_commit
from apps.foundation.governance.models import Review
from apps.foundation.governance.signals import review_closed

from .services import review_followed
from .signals import run_started
from .tasks import run_plan


@receiver(review_closed, dispatch_uid="playbooks")
def version_follows_review(*, review: Review, **kwargs: Any) -> None:
    """An answered review moves its version, in the same transaction."""
    review_followed(review=review)


@receiver(run_started, dispatch_uid="playbooks")
def run_gets_planned(*, run_id: int, **kwargs: Any) -> None:
    """A started run wakes a worker that puts its audience down."""
    enqueue_on_commit(run_plan, run_id)
