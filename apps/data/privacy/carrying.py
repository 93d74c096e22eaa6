"""Carrying out a request that takes work in the background, by its kind."""

from .erasing import erasure_run
from .exporting import export_build
from .models import RightsRequest


def request_carry_out(*, request_id: int) -> None:
    """Do what a request waits for, or go on with it. Raises Conflict for "not now"."""
    kind = RightsRequest.objects.values_list("kind", flat=True).filter(pk=request_id).first()
    if kind == RightsRequest.Kind.ERASURE:
        erasure_run(request_id=request_id)
    elif kind == RightsRequest.Kind.EXPORT:
        export_build(request_id=request_id)
