"""What it tells of the personal data it holds: sign-ups and answers; and forgetting what nobody confirmed."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from django.utils.translation import gettext_lazy as _

from apps.data.consent.models import ConsentRecord
from apps.data.consent.services import gate_lock
from apps.data.events.models import Event, Order
from apps.data.privacy.people import person_read
from apps.data.privacy.registry import (
    Because,
    Forgotten,
    Person,
    Row,
    erase_step,
    erase_steps,
    export_part,
    processing_declare,
    retention_rule,
)
from apps.data.profiles.models import Identifier

from .models import SignUp, SurveyReply
from .visitors import UTM

_NOT_FOR_STRANGERS: Final = frozenset({"suppress", "withdraw"})
"""Steps of an erasure that are not taken for who never confirmed: they agreed to nothing, and may sign up again."""


def _sign_ups(profile_id: int) -> Iterator[Row]:
    for one in SignUp.objects.filter(profile_id=profile_id).select_related("form").order_by("pk"):
        yield {
            "form": one.form.name,
            "when": one.created_at,
            "confirmed": one.done_at,
            "for": list(one.purposes),
            "said": one.given,
            "page": one.landing_page,
            "came_from": one.referrer_host,
            "device": one.device,
            "campaign": {name: value for name in UTM if (value := getattr(one, name))},
            "answers": one.answers,
        }


def _replies(profile_id: int) -> Iterator[Row]:
    replies = SurveyReply.objects.filter(profile_id=profile_id).select_related("survey", "interest").order_by("pk")
    for one in replies:
        yield {"survey": one.survey.name, "question": one.question, "answer": one.interest.name, "when": one.replied_at}


def _forget(person: Person) -> Forgotten:
    """Sign-ups and answers go whole: what was agreed to is in the consent ledger."""
    sign_ups, _kinds = SignUp.objects.filter(profile_id=person.profile_id).delete()
    replies, _kinds = SurveyReply.objects.filter(profile_id=person.profile_id).delete()
    return Forgotten(sign_ups + replies)


def sign_ups_forget(before: datetime, limit: int) -> int:
    """Forget sign-ups from before a moment that nobody confirmed, and the profiles that they alone began."""
    waiting = SignUp.objects.filter(state=SignUp.State.WAITING, created_at__lt=before).order_by("created_at")
    ids = list(waiting.values_list("pk", flat=True)[:limit])
    people = SignUp.objects.filter(pk__in=ids, starter=True, profile__erased_at=None).values_list(
        "profile_id", flat=True
    )
    for profile_id in sorted(people):
        gate_lock(profile_ids=[profile_id])
        if _is_only_asked(profile_id, before):
            person = person_read(profile_id)
            for step in erase_steps():
                if step.name not in _NOT_FOR_STRANGERS:
                    step.erase(person)
    SignUp.objects.filter(pk__in=ids).delete()
    return len(ids)


def _is_only_asked(profile_id: int, before: datetime) -> bool:
    """Whether nothing is known of a person but sign-ups that wait since before a moment."""
    known = (
        Identifier.objects.filter(profile_id=profile_id, verified=True),
        Identifier.objects.filter(profile_id=profile_id, kind=Identifier.Kind.EXTERNAL),
        ConsentRecord.objects.filter(profile_id=profile_id),
        Event.objects.filter(profile_id=profile_id),
        Order.objects.filter(profile_id=profile_id),
        SignUp.objects.filter(profile_id=profile_id, state=SignUp.State.DONE),
        SignUp.objects.filter(profile_id=profile_id, created_at__gte=before),
    )
    return not any(rows.exists() for rows in known)


def privacy_register() -> None:
    """Say what this app holds."""
    export_part(
        "sign_ups",
        _("When you signed up"),
        _sign_ups,
        words={
            "form": _("Form"),
            "when": _("When"),
            "confirmed": _("Confirmed"),
            "for": _("What for"),
            "said": _("What you said"),
            "page": _("Page"),
            "came_from": _("Site before that"),
            "device": _("Device"),
            "campaign": _("Campaign"),
            "answers": _("Answers"),
        },
    )
    export_part(
        "survey_replies",
        _("What you answered"),
        _replies,
        words={"survey": _("Survey"), "question": _("Question"), "answer": _("Answer"), "when": _("When")},
    )
    erase_step("sign_ups", _forget, title="Where they signed up, and what they answered")
    retention_rule(
        "sign_ups", "Sign-ups that nobody confirmed, with the profile they began", "SIGN_UP_WAIT_DAYS", sign_ups_forget
    )
    processing_declare(
        SignUp,
        purpose="Taking sign-ups, showing whence and how somebody agreed, and which campaigns bring people",
        lawful_basis="consent; legitimate interest (to learn where sign-ups come from)",
        categories=(
            "form and purposes",
            "first name, language, country, time zone, interests",
            "page, site and campaign",
        ),
        kept="sign_ups",
        exported="sign_ups",
        erased="sign_ups",
    )
    processing_declare(
        SurveyReply,
        purpose="Writing about what somebody likes",
        lawful_basis="consent",
        categories=("answers to surveys",),
        kept=Because("Kept for as long as the person is a customer, until they take it back or are erased."),
        exported="survey_replies",
        erased="sign_ups",
    )
