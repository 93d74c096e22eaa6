"""Reads about rights requests."""

from django.db.models import QuerySet

from .models import RightsRequest

State = RightsRequest.State
_CARRIED_OUT = (RightsRequest.Kind.EXPORT, RightsRequest.Kind.ERASURE)


def requests_running() -> QuerySet[RightsRequest]:
    """Those whose clock runs, the most urgent first."""
    return RightsRequest.objects.filter(state__in=[State.OPEN, State.WORKING]).order_by("due_at", "pk")


def requests_to_carry_out() -> list[int]:
    """Those that workers are to carry out; each is safe to take up twice."""
    return list(
        RightsRequest.objects.filter(state=State.WORKING, kind__in=_CARRIED_OUT)
        .order_by("pk")
        .values_list("pk", flat=True)[:200]
    )
