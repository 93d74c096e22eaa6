"""Two profiles that are one person: merged in one transaction, and taken apart again whole.

Both people's locks are taken first, so whatever happens to them at that moment comes wholly before or after. What can
be moved is moved; what is never changed stays with its number and is read for all numbers of a person (`family_of`).
See docs/how-it-works/identity.md.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from django.db import OperationalError, connection, transaction
from psycopg2.errors import DeadlockDetected

from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound
from apps.foundation.core.live import live_publish
from apps.foundation.core.outbox import outbox_put
from apps.foundation.governance.services import audit_record

from .models import Merge, MergeCandidate, Profile
from .registry import Merging, merge_locks, merge_parts

T = TypeVar("T")

_TRIES: Final = 4
_HOLD: Final = """
SELECT id, merged_into_id FROM profiles_profile WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE
"""


def survivor_of(profile_id: int) -> int:
    """Who a profile is: the one that it was merged into, else itself."""
    into = Profile.objects.filter(pk=profile_id).values_list("merged_into", flat=True).first()
    return profile_id if into is None else into


def family_of(profile_id: int) -> list[int]:
    """All numbers of a person: their own, and those of the profiles that were merged into them."""
    return [profile_id, *Profile.objects.filter(merged_into=profile_id).order_by("pk").values_list("pk", flat=True)]


def people_hold(profile_ids: Iterable[int]) -> dict[int, int]:
    """Who these profiles are, held until the caller's transaction ends: no merge of them commits before.

    For those who write rows of a person by a number that they learned earlier: else a row written at the moment of a
    merge would stay with a profile that is nobody any more. A number that is nobody's stands for
    itself. One statement for a batch, another where some were merged.
    """
    found: dict[int, int] = {}
    asked = wanted = set(profile_ids)
    with connection.cursor() as cursor:
        while wanted:
            cursor.execute(_HOLD, [sorted(wanted)])
            rows = dict(cursor.fetchall())
            found |= {one: into or one for one, into in rows.items()}
            wanted = {into for into in rows.values() if into is not None} - found.keys()
    return {one: one for one in asked} | {one: found.get(into, into) for one, into in found.items()}


def profiles_merge(
    *, kept_id: int, absorbed_id: int, why: Merge.Why, reasons: Sequence[str] = (), actor: User | None = None
) -> Merge:
    """Make two profiles one person, in one transaction. The kept one's own values win over the other's.

    Of consent, suppression and caps the stricter side holds from then on; what had not gone out to the absorbed one is
    withheld. actor: who merges, None by rule. Raises NotAllowed, NotFound, Invalid for one and the same, Conflict for
    who is erased, restricted, or merged already.
    """
    if actor is not None:
        right_require(actor, "add", Merge, what="merge profiles")
    if kept_id == absorbed_id:
        raise Invalid("merge_same", "This is one and the same profile")
    return _again(lambda: _merge(kept_id, absorbed_id, why, list(reasons), actor))


def profiles_unmerge(*, merge_id: int, actor: User) -> Merge:
    """Take two profiles apart again: each has what was theirs at the merge; what came since stays with the kept one.

    What the person withdrew since holds for both. The newest merge of a person first. Raises NotAllowed, NotFound,
    and Conflict where it was undone already, a later merge stands in the way, or one of them was erased.
    """
    right_require(actor, "undo", Merge, what="undo a merge")
    return _again(lambda: _unmerge(merge_id, actor))


def _again(work: Callable[[], T]) -> T:
    """Once more after a deadlock: events and merges take some rows in another order."""
    for left in reversed(range(_TRIES)):
        try:
            with transaction.atomic():
                return work()
        except OperationalError as error:
            if not left or connection.in_atomic_block or not isinstance(error.__cause__, DeadlockDetected):
                raise
            time.sleep(0.05)
    raise AssertionError("unreachable")


def _lock(profile_ids: Sequence[int]) -> dict[int, Profile]:
    """Lock those of them that there are. Profiles are never removed, so nobody goes in between."""
    there = sorted(Profile.objects.filter(pk__in=profile_ids).values_list("pk", flat=True))
    for lock in merge_locks:
        lock(there)
    rows = Profile.objects.select_for_update().filter(pk__in=profile_ids).order_by("pk")
    return {row.pk: row for row in rows}


def _merge(kept_id: int, absorbed_id: int, why: Merge.Why, reasons: list[str], actor: User | None) -> Merge:
    found = _lock([kept_id, absorbed_id])
    for profile_id in (kept_id, absorbed_id):
        _merge_check(profile_id, found.get(profile_id))
    merge = Merge.objects.create(
        kept_id=kept_id, absorbed_id=absorbed_id, why=why, reasons=reasons, actor=actor, merged_at=now()
    )
    merging = Merging(merge.pk, kept_id, absorbed_id, merge.merged_at)
    moved: dict[str, Any] = {}
    for part in merge_parts:
        moved[part.name] = part.take(merging)
    merge.moved = moved
    merge.save(update_fields=["moved"])
    _told("profiles.merged", merge, actor)
    return merge


def _merge_check(profile_id: int, profile: Profile | None) -> None:
    if profile is None:
        raise NotFound("profile_unknown", f"There is no profile {profile_id}")
    if profile.erased_at is not None:
        raise Conflict("profile_erased", f"Profile {profile_id} was erased: nothing is known of them any more")
    if profile.restricted_at is not None:
        raise Conflict("profile_restricted", f"Profile {profile_id} is restricted: their data is kept as it is")
    if profile.merged_into_id is not None:
        raise Conflict("profile_merged", f"Profile {profile_id} was merged into {profile.merged_into_id} already")


def _unmerge(merge_id: int, actor: User) -> Merge:
    merge = Merge.objects.filter(pk=merge_id).first()
    if merge is None:
        raise NotFound("merge_unknown", "There is no such merge")
    found = _lock([merge.kept_id, merge.absorbed_id])
    merge = Merge.objects.select_for_update().get(pk=merge_id)
    if merge.undone_at is not None:
        raise Conflict("merge_undone", "It was undone already")
    if any(profile.erased_at is not None for profile in found.values()):
        raise Conflict("profile_erased", "The person was erased: there is nothing left to take apart")
    if found[merge.kept_id].merged_into_id is not None or found[merge.absorbed_id].merged_into_id != merge.kept_id:
        raise Conflict("merge_not_newest", "The one who was kept was merged with somebody else since: undo that first")
    if Merge.objects.filter(kept_id=merge.kept_id, undone_at=None, pk__gt=merge.pk).exists():
        raise Conflict("merge_not_newest", "Somebody else was merged into this person since: undo that first")
    merging = Merging(merge.pk, merge.kept_id, merge.absorbed_id, merge.merged_at)
    for part in merge_parts:
        if part.name in merge.moved:
            part.give(merging, merge.moved[part.name])
    first, second = sorted((merge.kept_id, merge.absorbed_id))
    settled = {"state": MergeCandidate.State.REJECTED, "sure": False, "settled_at": now(), "settled_by": actor}
    MergeCandidate.objects.update_or_create(  # two people: they don't come up again
        first_id=first,
        second_id=second,
        defaults=settled,
        create_defaults={**settled, "why": MergeCandidate.Why.SCORE},
    )
    merge.moved, merge.undone_at, merge.undone_by = {}, now(), actor
    merge.save(update_fields=["moved", "undone_at", "undone_by"])
    _told("profiles.unmerged", merge, actor)
    return merge


def _told(action: str, merge: Merge, actor: User | None) -> None:
    said = {"merge": merge.pk, "kept": merge.kept_id, "absorbed": merge.absorbed_id}
    audit_record(action=action, actor=actor, subject=merge, data={**said, "why": merge.why})
    outbox_put(action.replace("profiles.", "profile."), [{**said, "at": now().isoformat()}])
    transaction.on_commit(lambda: live_publish(f"profile-{merge.kept_id}", f"profile-{merge.absorbed_id}"))


def merges_forget(profile_id: int) -> int:
    """Forget how the merges of a person could be undone, in the caller's transaction: for an erasure."""
    held = Merge.objects.filter(kept_id=profile_id) | Merge.objects.filter(absorbed_id=profile_id)
    return held.exclude(moved={}).update(moved={}, reasons=[])
