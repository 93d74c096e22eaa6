"""Signing up: asked for by anybody who types an address, done once it is known to be theirs.

Until then nothing of what was typed reaches a profile that was there before: a stranger may have typed it. An address
that nobody has gets a starter profile, so that a mail can be sent through the ledger like any other; it goes again with
a sign-up that nobody confirms.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from apps.data.consent.contracts import Circumstances, Origin, WordingShown
from apps.data.consent.models import Channel, ConsentRecord, Interest, PreferenceChange
from apps.data.consent.opt_ins import opt_in_ask
from apps.data.consent.preferences import Wanted, preferences_change
from apps.data.events.services import event_record
from apps.data.profiles.addresses import holders_of, identifier_put
from apps.data.profiles.attributes import attributes_put
from apps.data.profiles.mail import MailKind, mail_want
from apps.data.profiles.models import Identifier, Profile
from apps.data.profiles.vault import keys_make
from apps.foundation.core.clock import now
from apps.foundation.core.signing import address_digest

from .models import SignUp, SignUpForm
from .replies import reply_give
from .selectors import EVENT, KEY, interests_of, survey_is_open, welcome_is_carried
from .visitors import UTM, Visit

_LOCK: Final = 7311  # class of the advisory locks that keep one address from beginning two profiles at once
_AT_ONCE: Final = timedelta(minutes=10)  # the same asked again within this is a double click
METHOD: Final = ConsentRecord.Method.SIGN_UP


@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody filled in. address: normalized; wordings: by purpose, the text that was shown beside its box;
    interests: codes that the form offers; locale: the language of the form; language: the browser's first.
    """

    address: str
    wordings: Mapping[str, WordingShown]
    interests: tuple[str, ...] = ()
    first_name: str = ""
    locale: str = ""
    language: str = ""
    gpc: bool = False


def source_of(form: SignUpForm) -> str:
    """How a form is named where consent and preferences say where they came from."""
    return f"sign-up form {form.code} v{form.version}"


def sign_up_make(*, form: SignUpForm, ask: Ask, visit: Visit, origin: Origin | None) -> UUID:
    """Take a sign-up: the profile of the address or a new one, where they came from, and what consent is asked.

    The same is done and answered whether or not the address is known. The same asked again within minutes is the same
    sign-up. Returns its id.
    """
    with transaction.atomic():
        profile_id, starter = _profile_of(form, ask, visit)
        sign_up, made = _sign_up_of(form, ask, visit, profile_id, starter)
        if made:
            asked = opt_in_ask(
                profile_id=profile_id,
                purposes=ask.wordings,
                channel=Channel.EMAIL,
                method=METHOD,
                source=source_of(form),
                circumstances=Circumstances(jurisdiction=visit.country, gpc=ask.gpc),
                origin=origin,
                sure=starter,
            )
            if asked.opt_in is not None:
                SignUp.objects.filter(pk=sign_up.pk).update(opt_in=asked.opt_in)
            elif asked.granted:
                sign_up_done(sign_up_id=sign_up.pk)
    return sign_up.pk


def _sign_up_of(form: SignUpForm, ask: Ask, visit: Visit, profile_id: int, starter: bool) -> tuple[SignUp, bool]:
    """A new one, unless the same was asked just now: a double click."""
    fields: dict[str, Any] = {
        "form": form,
        "profile_id": profile_id,
        "purposes": list(ask.wordings),
        "given": _given(ask, visit),
    }
    twice = SignUp.objects.filter(created_at__gt=now() - _AT_ONCE, **fields).first()
    if twice is not None:
        return twice, False
    sign_up = SignUp.objects.create(
        form_version=form.version,
        starter=starter,
        locale=ask.locale,
        device=visit.device,
        landing_page=visit.landing_page,
        referrer_host=visit.referrer_host,
        **fields,
        **visit.utm,
    )
    return sign_up, True


def opt_in_confirmed(opt_in_id: UUID) -> None:
    """Its address is the person's: the sign-up that asked for it is done, in the transaction of the confirmation."""
    for sign_up_id in SignUp.objects.filter(opt_in=opt_in_id).values_list("pk", flat=True):
        sign_up_done(sign_up_id=sign_up_id)


def answer_keep(*, sign_up_id: UUID, question: int, interest: str) -> bool:
    """Keep an answer with a sign-up until it is confirmed; of one that needed no confirmation it holds at once.

    False when it is too late: what belongs to a person's address is changed by a link in a mail to it.
    """
    with transaction.atomic():
        sign_up = SignUp.objects.select_for_update(of=("self",)).select_related("form").get(pk=sign_up_id)
        if not survey_is_open(sign_up, at=now()):
            return False
        sign_up.answers = {**sign_up.answers, str(question): interest}
        sign_up.save(update_fields=["answers"])
        if sign_up.state == SignUp.State.DONE:
            _reply(sign_up, question, interest)
    return True


def _profile_of(form: SignUpForm, ask: Ask, visit: Visit) -> tuple[int, bool]:
    """Whose address it is, or a profile begun with what the visit tells; and whether it was begun."""
    number = int.from_bytes(address_digest("email", ask.address)[:4], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK, number])
    held = holders_of(kind=Identifier.Kind.EMAIL, value=ask.address)
    if held:
        return held[0], False
    profile = Profile.objects.create(
        language=ask.language or ask.locale,
        country=visit.country,
        time_zone=visit.time_zone,
        source=f"sign-up:{form.code}",
    )
    keys_make([profile.pk])
    attributes_put(
        profile_id=profile.pk,
        values=_starting_attributes(form, visit),
        source=f"sign-up:{form.code}",
        only_fitting=True,
    )
    identifier_put(profile_id=profile.pk, kind=Identifier.Kind.EMAIL, value=ask.address, source=f"sign-up:{form.code}")
    return profile.pk, True


def _starting_attributes(form: SignUpForm, visit: Visit) -> dict[str, str]:
    known = {"sign_up_device": visit.device, "sign_up_referrer": visit.referrer_host, "sign_up_form": form.code}
    return {name: value for name, value in known.items() if value}


def _given(ask: Ask, visit: Visit) -> dict[str, Any]:
    """What was said beside the address, and enters the profile once it is known to be the person's."""
    said: dict[str, Any] = {
        "first_name": ask.first_name,
        "language": ask.language or ask.locale,
        "country": visit.country,
        "time_zone": visit.time_zone,
        "interests": list(ask.interests),
    }
    return {name: value for name, value in said.items() if value}


def sign_up_done(*, sign_up_id: UUID) -> bool:
    """The address is the person's: let what they said enter their profile, record `Signed Up`, and welcome them.

    What the profile knows already stays. False when it was done before.
    """
    with transaction.atomic():
        sign_up = SignUp.objects.select_for_update(of=("self",)).select_related("form").get(pk=sign_up_id)
        if sign_up.state == SignUp.State.DONE:
            return False
        _profile_fill(sign_up)
        _choices_make(sign_up)
        sign_up.state, sign_up.done_at = SignUp.State.DONE, now()
        sign_up.save(update_fields=["state", "done_at"])
        event_record(
            profile_id=sign_up.profile_id,
            name=EVENT,
            message_id=key_of(sign_up.pk),
            occurred_at=sign_up.done_at,
            properties=_told(sign_up),
        )
        if not welcome_is_carried():
            mail_want(kind=MailKind.WELCOME, profile_id=sign_up.profile_id, key=key_of(sign_up.pk))
    return True


def key_of(sign_up_id: UUID) -> str:
    """How a sign-up is named in events and mails."""
    return f"{KEY}{sign_up_id}"


def _told(sign_up: SignUp) -> dict[str, str]:
    """Properties of the event: where from, for playbooks that greet by it. Nothing that was typed as text."""
    known = {
        "form": sign_up.form.code,
        "device": sign_up.device,
        "referrer": sign_up.referrer_host,
        **{name: getattr(sign_up, name) for name in UTM},
    }
    return {name: value for name, value in known.items() if value}


def _profile_fill(sign_up: SignUp) -> None:
    """Write into the profile what it doesn't know yet, and that the address is the person's."""
    profile = Profile.objects.select_for_update().get(pk=sign_up.profile_id)
    unknown = [
        name
        for name in ("first_name", "language", "country", "time_zone")
        if sign_up.given.get(name) and not getattr(profile, name)
    ]
    for name in unknown:
        setattr(profile, name, sign_up.given[name])
    if unknown:
        profile.updated_at = now()
        profile.save(update_fields=[*unknown, "updated_at"])


def _choices_make(sign_up: SignUp) -> None:
    """Interests that were ticked, and answers to the survey that waited."""
    offered = set(Interest.objects.filter(pk__in=sign_up.given.get("interests", [])).values_list("pk", flat=True))
    preferences_change(
        profile_id=sign_up.profile_id,
        changes=[Wanted(PreferenceChange.Kind.INTEREST, True, code) for code in sorted(offered)],
        method=METHOD,
        source=source_of(sign_up.form),
    )
    for question, interest in sign_up.answers.items():
        _reply(sign_up, int(question), interest)


def _reply(sign_up: SignUp, question: int, interest: str) -> None:
    """Give an answer that waited; one that is no longer asked is left."""
    survey = sign_up.form.survey
    if survey is not None and interest in interests_of(survey, question):
        reply_give(
            profile_id=sign_up.profile_id,
            survey=survey,
            question=question,
            interest=interest,
            method=METHOD,
            source=source_of(sign_up.form),
        )
