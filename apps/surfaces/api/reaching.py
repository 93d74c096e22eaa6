"""What is within a client's limits of brands and markets, and whatever hangs on it. Without limits it is everything.

What is beyond them is not there for the client: 404, as if it were not.
"""

from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404

from apps.decisioning.content.models import Block
from apps.decisioning.decisions.models import Decision
from apps.decisioning.playbooks.models import Playbook, Run
from apps.delivery.sending.models import Message
from apps.foundation.accounts.contracts import Caller


def playbooks_within(caller: Caller) -> "QuerySet[Playbook]":
    """Playbooks of its brands."""
    brands = caller.within("brands")
    return Playbook.objects.all() if brands is None else Playbook.objects.filter(brand__code__in=brands)


def runs_within(caller: Caller) -> "QuerySet[Run]":
    """Runs of playbooks of its brands."""
    brands = caller.within("brands")
    return Run.objects.all() if brands is None else Run.objects.filter(playbook__brand__code__in=brands)


def decisions_within(caller: Caller) -> "QuerySet[Decision]":
    """Decisions of such runs."""
    if caller.within("brands") is None:
        return Decision.objects.all()
    return Decision.objects.filter(run__in=runs_within(caller))


def messages_within(caller: Caller) -> "QuerySet[Message]":
    """Messages of such runs."""
    if caller.within("brands") is None:
        return Message.objects.all()
    return Message.objects.filter(dispatch__run_id__in=runs_within(caller).values("pk"))


def blocks_within(caller: Caller) -> "QuerySet[Block]":
    """Blocks of its markets; those of no market are everybody's, and beyond any limit."""
    markets = caller.within("markets")
    return Block.objects.all() if markets is None else Block.objects.filter(market__code__in=markets)


def playbook_reached(caller: Caller, playbook_id: int) -> Playbook:
    """A playbook within its limits. Raises Http404."""
    found = playbooks_within(caller).select_related("published", "brand").filter(pk=playbook_id).first()
    if found is None:
        raise Http404
    return found


def run_reached(caller: Caller, run_id: int) -> Run:
    """A run within its limits. Raises Http404."""
    found = runs_within(caller).select_related("playbook", "version").filter(pk=run_id).first()
    if found is None:
        raise Http404
    return found


def message_reached(caller: Caller, message_id: UUID) -> Message:
    """A message within its limits. Raises Http404."""
    found = messages_within(caller).select_related("dispatch").filter(pk=message_id).first()
    if found is None:
        raise Http404
    return found
