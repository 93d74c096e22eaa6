"""Support tickets: that somebody waits for help, so that nothing is advertised to them meanwhile."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Q

from apps.data.profiles.merging import people_hold
from apps.data.profiles.models import Profile
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid, NotFound
from apps.foundation.core.postgres import Part

from .models import Ticket

_LONGEST: Final = 80


def ticket_put(
    *, source: str, number: str, profile_id: int, is_open: bool, changed_at: datetime | None = None
) -> tuple[Ticket, bool]:
    """Have a ticket of a help desk be open or closed. Returns it, and whether it is new.

    changed_at: when it became so, by the help desk's clock; what is older than what is known changes nothing.
    Raises Invalid, NotFound for a person who is not there or was erased.
    """
    if not number.strip() or len(number) > _LONGEST:
        raise Invalid("ticket_number", f"A ticket's number has 1 to {_LONGEST} characters", {"field": "number"})
    at = changed_at or now()
    if at > now():
        raise Invalid("ticket_in_future", "A ticket can't change in the future: check the time zone", {"field": "at"})
    with transaction.atomic():
        profile_id = people_hold([profile_id])[profile_id]
        if not Profile.objects.select_for_update(no_key=True).filter(pk=profile_id, erased_at=None).exists():
            raise NotFound("profile_unknown", "There is no such person")
        closed_at = None if is_open else at
        ticket, new = Ticket.objects.select_for_update().get_or_create(
            source=source,
            number=number,
            defaults={"profile_id": profile_id, "opened_at": at, "closed_at": closed_at, "changed_at": at},
        )
        if not new and at >= ticket.changed_at:
            ticket.profile_id, ticket.closed_at, ticket.changed_at = profile_id, closed_at, at
            ticket.save(update_fields=["profile", "closed_at", "changed_at"])
    return ticket, new


OPEN_TICKET: Final = Part(
    columns=(
        "EXISTS (SELECT FROM events_ticket AS ticket WHERE ticket.profile_id = person.id AND ticket.closed_at IS NULL)",
    )
)
"""Whether a ticket of theirs is open now, in a statement about people."""


def tickets_open(profile_ids: Iterable[int], *, at: datetime | None = None) -> set[int]:
    """Who of these people has a ticket open, now or as it was at a moment.

    One statement for a whole batch: deciding asks it.
    """
    rows = Ticket.objects.filter(profile_id__in=list(profile_ids))
    if at is None:
        rows = rows.filter(closed_at=None)
    else:
        rows = rows.filter(Q(closed_at=None) | Q(closed_at__gt=at), opened_at__lte=at)
    return set(rows.values_list("profile_id", flat=True))


def tickets_forget(before: datetime, limit: int) -> int:
    """Delete tickets that were closed before a moment, at most `limit`. Returns how many."""
    old = Ticket.objects.filter(closed_at__lt=before).order_by("closed_at").values_list("pk", flat=True)[:limit]
    return Ticket.objects.filter(pk__in=list(old)).delete()[0]
