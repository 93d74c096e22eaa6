"""Objection (GDPR, Article 21) and restriction (Article 18): at once, recorded, and lifted by nobody else."""

from typing import Final

from django.db import transaction

from apps.data.consent.models import Channel, ConsentRecord, ConsentState, Purpose
from apps.data.consent.services import consent_withdraw
from apps.data.profiles.models import Profile
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid
from apps.foundation.core.live import live_publish
from apps.foundation.core.outbox import outbox_put
from apps.foundation.governance.services import audit_record

from .models import RightsRequest
from .services import State, person_lock, request_move, request_open

OBJECTIONS: Final = {"marketing": ("marketing",), "profiling": ("personalisation", "profiling", "tracking")}
"""To what one objects: the purposes that end. Direct marketing ends without any weighing up (Article 21(2) and (3))."""


def objection_record(*, profile_id: int, against: str, shown_by: str, actor: User | None = None) -> RightsRequest:
    """Record that a person objects; what they object to ends at once, on every channel, also what they never agreed to.

    against: a key of OBJECTIONS. Raises Invalid, NotFound, Conflict.
    """
    if against not in OBJECTIONS:
        raise Invalid("objection_unknown", f"One objects to {' or '.join(OBJECTIONS)}")
    with transaction.atomic():
        request = request_open(profile_id=profile_id, kind=RightsRequest.Kind.OBJECTION, shown_by=shown_by, actor=actor)
        known = list(Purpose.objects.filter(code__in=OBJECTIONS[against]).values_list("code", flat=True))
        on_record = set(ConsentState.objects.filter(profile_id=profile_id).values_list("purpose_id", "channel")) | {
            (purpose, Channel.EMAIL.value) for purpose in known
        }
        ended = 0
        for purpose, channel in sorted(pair for pair in on_record if pair[0] in known):
            ended += consent_withdraw(
                profile_id=profile_id,
                purpose=purpose,
                channel=channel,
                method=ConsentRecord.Method.STAFF if actor is not None else ConsentRecord.Method.PREFERENCES,
                source=f"objection (Art. 21), request {request.pk}",
                actor=actor,
            )
        request_move(request, to=State.DONE, report={"against": against, "ended": ended}, actor=actor)
    return request


def restriction_set(*, profile_id: int, shown_by: str, actor: User | None = None) -> RightsRequest:
    """Restrict what is done with a person's data: it is kept, nothing is sent or decided, no import changes it.

    Already restricted: stays so, and that is recorded. Raises Invalid, NotFound, Conflict.
    """
    with transaction.atomic():
        request = request_open(
            profile_id=profile_id, kind=RightsRequest.Kind.RESTRICTION, shown_by=shown_by, actor=actor
        )
        changed = Profile.objects.filter(pk=profile_id, restricted_at=None).update(restricted_at=now())
        request_move(request, to=State.DONE, report={"changed": bool(changed)}, actor=actor)
        _tell(profile_id, restricted=True)
    return request


def restriction_lift(*, profile_id: int, because: str = "", actor: User | None = None) -> None:
    """Lift it: by the person, or by staff with a reason, of which the person must be told first (Article 18(3)).

    Raises Invalid for staff without a reason, Conflict where there is none, NotFound.
    """
    if actor is not None and len(because.strip()) < 10:
        raise Invalid("reason_missing", "Say why it is lifted: the person must be told before (Art. 18(3))")
    with transaction.atomic():
        profile = person_lock(profile_id)
        if not Profile.objects.filter(pk=profile_id).exclude(restricted_at=None).update(restricted_at=None):
            raise Conflict("not_restricted", "There is no restriction to lift")
        audit_record(
            action="privacy.restriction.lifted",
            actor=actor,
            subject=profile,
            data={"by": "staff" if actor is not None else "the person"},
        )
        _tell(profile_id, restricted=False)


def _tell(profile_id: int, *, restricted: bool) -> None:
    outbox_put("profile.restricted", [{"profile": profile_id, "restricted": restricted, "at": now().isoformat()}])
    transaction.on_commit(lambda: live_publish(f"profile-{profile_id}"))
