"""Making tallies and online copies anew, from events and orders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Max

from apps.data.profiles.models import Profile
from apps.foundation.core.clock import now

from .models import Rebuilding
from .online import all_copies_void, copies_fill, copies_void
from .tallies import tallies_fold

_PORTION = 500


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rebuild came: people seen to, copies written, and whether it is at its end."""

    people: int
    copies: int
    done: bool


def features_rebuild(
    *, told: Callable[[Progress], None], tallies: bool = True, stop: Callable[[], bool] = lambda: False
) -> Progress:
    """Fold everybody's tallies from their events again, and write everybody's online copy, some hundreds at a time.

    Everything works meanwhile. One that was stopped goes on where it was. tallies: False for the copies alone, as after
    Redis was emptied. told: called after each portion; stop: asked before each. Raises redis.RedisError without Redis.
    """
    mark = Rebuilding.objects.first()
    if mark is None:
        last = Profile.objects.aggregate(last=Max("pk"))["last"] or 0
        mark = Rebuilding.objects.create(last_profile=last, began_at=now())
    people = copies = 0
    while not stop():
        ids = list(
            Profile.objects.filter(pk__gt=mark.after_profile, pk__lte=mark.last_profile)
            .order_by("pk")
            .values_list("pk", flat=True)[:_PORTION]
        )
        if not ids:
            mark.delete()
            return Progress(people, copies, done=True)
        if tallies:
            people_refold(profile_ids=ids)
        copies += copies_fill(profile_ids=ids, as_of=now())
        people += len(ids)
        mark.after_profile = ids[-1]
        mark.save(update_fields=["after_profile"])
        told(Progress(people, copies, done=False))
    return Progress(people, copies, done=False)


def people_refold(*, profile_ids: Sequence[int]) -> None:
    """Make the tallies of people anew from their events: for what changed events without recording any."""
    with transaction.atomic(), connection.cursor() as cursor:
        tallies_fold(cursor, sorted(profile_ids))
        copies_void(profile_ids=sorted(profile_ids))


def orders_of_events_changed(profile_ids: Sequence[int]) -> None:
    """A step of `events.orders`: events changed orders of people."""
    orders_changed(profile_ids=profile_ids)


def orders_changed(*, profile_ids: Sequence[int] | None) -> None:
    """Orders of people were added or changed, None for too many to name: call it in the transaction that does so."""
    if profile_ids is None:
        all_copies_void()
    else:
        copies_void(profile_ids=sorted(set(profile_ids)))
