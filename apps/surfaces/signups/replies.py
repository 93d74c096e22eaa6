"""What people answer to surveys: a reply sets its interest, and changing one's mind takes the one before back."""

from django.db import transaction

from apps.data.consent.models import ConsentRecord, PreferenceChange
from apps.data.consent.preferences import preference_change
from apps.data.consent.services import gate_lock
from apps.foundation.core.clock import now
from apps.foundation.core.errors import NotFound

from .models import Survey, SurveyReply
from .selectors import interests_of, reply_of


def reply_give(
    *, profile_id: int, survey: Survey, question: int, interest: str, method: ConsentRecord.Method, source: str
) -> SurveyReply:
    """Record what a person answered, in place of what they said before to the same question; sets the interest.

    Raises NotFound for what is no answer to that question (any more).
    """
    if interest not in interests_of(survey, question):
        raise NotFound("answer_unknown", "This question is not asked any more")
    with transaction.atomic():
        gate_lock(profile_ids=[profile_id])
        before = reply_of(profile_id=profile_id, survey_id=survey.pk, question=question)
        if before is not None and before.interest_id == interest:
            return before
        if before is not None:
            _take_back(before, method, source)
        gave = _interest_set(profile_id, interest, True, method, source)
        reply, _ = SurveyReply.objects.update_or_create(
            profile_id=profile_id,
            survey=survey,
            question=question,
            defaults={"interest_id": interest, "gave": gave, "source": source[:200], "replied_at": now()},
        )
    return reply


def reply_take_back(
    *, profile_id: int, survey_id: int, question: int, method: ConsentRecord.Method, source: str
) -> bool:
    """Undo a reply, and the interest if it came of it. False when there is none."""
    with transaction.atomic():
        gate_lock(profile_ids=[profile_id])
        reply = reply_of(profile_id=profile_id, survey_id=survey_id, question=question)
        if reply is None:
            return False
        _take_back(reply, method, source)
        reply.delete()
    return True


def _take_back(reply: SurveyReply, method: ConsentRecord.Method, source: str) -> None:
    """Switch off the interest that the reply switched on, unless another reply says it too."""
    others = SurveyReply.objects.filter(profile_id=reply.profile_id, interest_id=reply.interest_id).exclude(pk=reply.pk)
    if reply.gave and not others.exists():
        _interest_set(reply.profile_id, reply.interest_id, False, method, source)


def _interest_set(profile_id: int, interest: str, on: bool, method: ConsentRecord.Method, source: str) -> bool:
    """Whether it is another than before."""
    kind = PreferenceChange.Kind.INTEREST
    change = preference_change(
        profile_id=profile_id, kind=kind, subject=interest, value=on, method=method, source=source
    )
    return change is not None
