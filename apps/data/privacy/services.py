"""Rights requests: put down, extended, and closed. What each kind does is in a file of its own.

Locks are taken in one order: the person's gate, then the request. Consent does the same with what belongs to it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.data.consent.services import gate_lock_person
from apps.data.profiles.models import Profile
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound
from apps.foundation.core.live import live_publish
from apps.foundation.governance.services import audit_record

from .models import RightsRequest
from .rules import due_of, step_check

State = RightsRequest.State


def person_lock(profile_id: int) -> Profile:
    """A person, under their gate until the caller's transaction ends; of a merged profile, who it is.

    Raises NotFound.
    """
    if not Profile.objects.filter(pk=profile_id).exists():
        raise NotFound("profile_unknown", "There is no such profile")
    return Profile.objects.get(pk=gate_lock_person(profile_id=profile_id))


def request_open(
    *, profile_id: int, kind: RightsRequest.Kind, shown_by: str, actor: User | None = None
) -> RightsRequest:
    """Put down what a person asks for, or what staff ask for them; its clock begins. The one that runs already, if any.

    shown_by: how it was shown that it is them. Raises Invalid without that, NotFound for somebody who is not there,
    Conflict for somebody who was erased.
    """
    if not shown_by.strip():
        raise Invalid("identity_not_shown", "Say how it was shown that the person is who they say")
    at = now()
    with transaction.atomic():
        profile = person_lock(profile_id)
        profile_id = profile.pk
        if profile.erased_at is not None:
            raise Conflict("profile_erased", "This person was erased: nothing is known of them any more")
        running = RightsRequest.objects.filter(
            profile_id=profile_id, kind=kind, state__in=[State.OPEN, State.WORKING]
        ).first()
        if running is not None:
            return running
        request = RightsRequest.objects.create(
            profile_id=profile_id,
            kind=kind,
            asked_by=RightsRequest.AskedBy.STAFF if actor is not None else RightsRequest.AskedBy.PERSON,
            actor=actor,
            shown_by=shown_by.strip()[:200],
            asked_at=at,
            due_at=due_of(at),
        )
        audit_record(action="privacy.request.asked", actor=actor, subject=request, data={"kind": str(kind)})
        transaction.on_commit(lambda: live_publish(f"profile-{profile_id}"))
    return request


def request_locked(request_id: int) -> RightsRequest:
    """A request, locked until the caller's transaction ends. Raises NotFound."""
    request = RightsRequest.objects.select_for_update().filter(pk=request_id).first()
    if request is None:
        raise NotFound("request_unknown", "There is no such request")
    return request


def request_extend(*, request_id: int, because: str, actor: User) -> RightsRequest:
    """Give a request two more months, once. Raises Invalid without a reason, Conflict, NotFound."""
    if len(because.strip()) < 10:
        raise Invalid("reason_missing", "Say why more time is needed: the person must be told")
    with transaction.atomic():
        request = request_locked(request_id)
        if not request.running:
            raise Conflict("request_closed", "This request is closed already")
        if request.extended_because:
            raise Conflict("extended_already", "A request can be extended once")
        request.extended_because = because.strip()[:300]
        request.due_at = due_of(request.asked_at, extended=True)
        request.save(update_fields=["extended_because", "due_at"])
        audit_record(action="privacy.request.extended", actor=actor, subject=request)
    return request


def request_move(
    request: RightsRequest,
    *,
    to: RightsRequest.State,
    report: Mapping[str, Any] | None = None,
    actor: User | None = None,
) -> None:
    """Take a locked request to another state, with what was done. Raises Conflict for a step that there is not."""
    step_check(request.state, to)
    request.state = to
    request.report = {**request.report, **(report or {})}
    if not request.running:
        request.closed_at = now()
    if actor is not None:
        request.actor = actor
    request.save(update_fields=["state", "report", "closed_at", "actor"])
    audit_record(action=f"privacy.request.{to.value}", actor=actor, subject=request, data={"kind": request.kind})
    transaction.on_commit(lambda: live_publish(f"profile-{request.profile_id}"))


def request_refuse(*, request_id: int, because: str, actor: User) -> RightsRequest:
    """Refuse a request, with the reason that the person is told (GDPR, Article 12(4)). Raises Invalid, Conflict."""
    if len(because.strip()) < 10:
        raise Invalid("reason_missing", "Say why it is refused: the person must be told, and may complain")
    with transaction.atomic():
        request = request_locked(request_id)
        request_move(request, to=State.REFUSED, report={"refused_because": because.strip()[:500]}, actor=actor)
    return request


def running_request(*, profile_id: int, kind: RightsRequest.Kind) -> RightsRequest | None:
    """The request of a kind whose clock runs, if any."""
    return RightsRequest.objects.filter(profile_id=profile_id, kind=kind, state__in=[State.OPEN, State.WORKING]).first()


def requests_forget(before: datetime, limit: int) -> int:
    """Forget requests that were closed before a moment. Those of people who were erased stay: they are their proof."""
    old = RightsRequest.objects.filter(closed_at__lt=before, profile__erased_at=None).order_by("closed_at")
    gone, _ = RightsRequest.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:limit])).delete()
    return gone


def request_withdraw(*, request_id: int, actor: User | None = None) -> RightsRequest:
    """Note that the person took a request back before anything was done. Raises Conflict, NotFound."""
    with transaction.atomic():
        request = request_locked(request_id)
        request_move(request, to=State.WITHDRAWN, actor=actor)
    return request
