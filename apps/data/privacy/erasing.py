"""Erasing a person: one recorded process of steps, which whoever finds it half done takes up again.

First nothing may go out any more, then every app forgets what it holds, last goes the person's own key, without which
what can't be deleted (append-only tables, backups made since) can't be read. Each step and its line in the report are
one transaction under the person's gate. See docs/how-it-works/privacy.md.
"""

from dataclasses import asdict
from typing import Any

from django.db import transaction

from apps.data.consent.models import ConsentRecord, ConsentState, Suppression
from apps.data.consent.services import consent_withdraw, gate_lock
from apps.data.profiles.merging import family_of
from apps.data.profiles.models import REACHED_BY, Identifier, Profile
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict
from apps.foundation.core.live import live_publish
from apps.foundation.core.outbox import outbox_put

from .erasures import Erasure, erasure_keep
from .models import RightsRequest
from .people import person_read
from .registry import EraseStep, Forgotten, erase_steps
from .services import State, request_locked, request_move, request_open
from .signals import request_waits

Method = ConsentRecord.Method


def erasure_ask(*, profile_id: int, shown_by: str, sure: bool = False, actor: User | None = None) -> RightsRequest:
    """Put down that a person wants to be erased; from then on nothing is sent for which they agreed.

    sure: it was shown beyond doubt that it is them, so it begins at once; otherwise staff look at it first.
    Raises Invalid, NotFound, Conflict: see `request_open`.
    """
    with transaction.atomic():
        request = request_open(profile_id=profile_id, kind=RightsRequest.Kind.ERASURE, shown_by=shown_by, actor=actor)
        withdraw_everything(request)
        request = request_locked(request.pk)
        if sure and request.state == State.OPEN:
            _begin(request, actor)
    return request


def erasure_begin(*, request_id: int, actor: User) -> RightsRequest:
    """Carry out an erasure that waits to be looked at. Raises Conflict when it does not, NotFound."""
    with transaction.atomic():
        request = request_locked(request_id)
        if request.kind != RightsRequest.Kind.ERASURE:
            raise Conflict("request_of_other_kind", "This is no request to be erased")
        _begin(request, actor)
    return request


def _begin(request: RightsRequest, actor: User | None) -> None:
    request_move(request, to=State.WORKING, actor=actor)
    request_waits.send(RightsRequest, request=request)


def withdraw_everything(request: RightsRequest) -> int:
    """Withdraw what holds, on every channel, for the request's reason. Returns how many were withdrawn."""
    granted = ConsentState.objects.filter(profile_id=request.profile_id, granted=True)
    by_person = request.asked_by == RightsRequest.AskedBy.PERSON
    return sum(
        consent_withdraw(
            profile_id=request.profile_id,
            purpose=purpose,
            channel=channel,
            method=Method.PREFERENCES if by_person else Method.STAFF,
            source=f"{request.get_kind_display()} (request {request.pk})",
            actor=request.actor,
        )
        for purpose, channel in granted.order_by("purpose_id", "channel").values_list("purpose_id", "channel")
    )


def erasure_run(*, request_id: int) -> RightsRequest:
    """Take all steps that are not taken yet, each in a transaction of its own, and close the request.

    Safe to call twice, at once and again. Raises Conflict where a step can't be taken now; it stays to be taken up.
    """
    request = RightsRequest.objects.select_related("profile").get(pk=request_id)
    if request.state != State.WORKING or request.kind != RightsRequest.Kind.ERASURE:
        return request
    _keep(request)
    for step in erase_steps():
        _take(request, step)
    with transaction.atomic():
        request = request_locked(request_id)
        if request.state == State.WORKING:
            request_move(request, to=State.DONE)
            outbox_put("profile.erased", [{"profile": request.profile_id, "at": now().isoformat()}])
            transaction.on_commit(lambda: live_publish(f"profile-{request.profile_id}"))
    return request


def _take(begun: RightsRequest, step: EraseStep) -> None:
    with transaction.atomic():
        family = family_of(begun.profile_id)
        gate_lock(profile_ids=family)
        request = request_locked(begun.pk)
        taken: list[dict[str, Any]] = request.report.get("steps", [])
        if request.state != State.WORKING or step.name in {one["step"] for one in taken}:
            return
        parts = [step.erase(person_read(number)) for number in family]
        forgotten = Forgotten(sum(part.count for part in parts), parts[0].stays)
        taken.append({"step": step.name, "at": now().isoformat(timespec="seconds"), **asdict(forgotten)})
        request.report = {**request.report, "steps": taken}
        request.save(update_fields=["report"])


def _keep(request: RightsRequest) -> None:
    """The line outside the database, before anything is forgotten: later nobody could write it."""
    digests = [
        (kind, bytes(digest))
        for kind, digest in Identifier.objects.filter(profile_id=request.profile_id)
        .filter(kind__in=REACHED_BY)
        .order_by("pk")
        .values_list("kind", "digest")
    ]
    if not request.report.get("steps"):
        erasure_keep(Erasure(request.profile_id, request.profile.created_at, now(), digests))


def erasure_repeat(erasure: Erasure) -> bool:
    """Erase again somebody whom a restored backup brought back, and suppress their addresses again.

    False when there was nothing to do. The profile must be the same one: number and moment of its making.
    """
    suppressed = 0
    with transaction.atomic():
        for kind, digest in erasure.digests:
            _, made = Suppression.objects.get_or_create(
                digest=digest, defaults={"kind": kind, "reason": Suppression.Reason.ERASURE, "note": "after a restore"}
            )
            suppressed += made
        profile = Profile.objects.filter(pk=erasure.profile_id, created_at=erasure.made_at, erased_at=None).first()
        if profile is None:
            return suppressed > 0
        request = request_open(
            profile_id=profile.pk,
            kind=RightsRequest.Kind.ERASURE,
            shown_by=f"erased on {erasure.at:%Y-%m-%d}; a backup from before was restored",
        )
        if request.state == State.OPEN:
            request_move(request, to=State.WORKING)
    erasure_run(request_id=request.pk)
    return True
