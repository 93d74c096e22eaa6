"""Signing up: what is begun, what waits, and what enters once the address is the person's."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from apps.data.consent.contracts import Origin
from apps.data.consent.models import ConsentRecord, ConsentState, OptIn
from apps.data.consent.opt_ins import opt_in_confirm
from apps.data.consent.preferences import preferences_read
from apps.data.consent.services import consent_withdraw
from apps.data.consent.wordings import wordings_shown
from apps.data.events.models import Event
from apps.data.profiles.addresses import holders_of
from apps.data.profiles.models import Identifier, Profile
from apps.decisioning.playbooks.models import MailWant
from apps.surfaces.signups.models import SignUp, SignUpForm, SurveyReply
from apps.surfaces.signups.sign_ups import Ask, answer_keep, opt_in_confirmed, sign_up_make
from apps.surfaces.signups.visitors import Visit
from tests.factories import make_profile

from .makers import make_form, make_survey

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]
VISIT = Visit(
    utm={"utm_source": "letter", "utm_medium": "", "utm_campaign": "spring", "utm_term": "", "utm_content": ""},
    landing_page="https://shop.example/hello",
    referrer_host="search.example",
    device="phone",
    languages=("de-AT", "en"),
    country="AT",
    time_zone="Europe/Vienna",
)


def sign_up(form: SignUpForm, address: str = "ada@example.org", **given: Any) -> SignUp:
    shown = wordings_shown(channel="email", locale="de")
    ask = Ask(
        address=address,
        wordings={code: shown[code] for code in given.pop("purposes", ("marketing",))},
        **{"interests": ("hiking",), "first_name": "Ada", "locale": "de", "language": "de-AT", **given},
    )
    return SignUp.objects.get(pk=sign_up_make(form=form, ask=ask, visit=VISIT, origin=Origin("192.0.2.7", "Browser")))


def confirm(sign_up: SignUp) -> None:
    assert sign_up.opt_in is not None
    opt_in_confirm(opt_in_id=sign_up.opt_in, profile_id=sign_up.profile_id, message_id=uuid4())


def wanted() -> set[tuple[str, int]]:
    return set(MailWant.objects.values_list("kind", "profile_id"))


def test_somebody_new_has_a_starter_profile_and_waits_for_the_confirmation() -> None:
    made = sign_up(make_form())

    profile = made.profile
    assert (profile.language, profile.country, profile.time_zone, profile.first_name) == (
        "de-AT",
        "AT",
        "Europe/Vienna",
        "",
    )
    assert profile.attributes == {
        "sign_up_device": "phone",
        "sign_up_referrer": "search.example",
        "sign_up_form": "news",
    }
    assert (made.starter, made.state, made.purposes, made.form_version) == (True, "waiting", ["marketing"], 1)
    assert (made.utm_source, made.utm_campaign, made.landing_page) == ("letter", "spring", "https://shop.example/hello")
    assert list(Identifier.objects.values_list("profile_id", "verified", "main")) == [(profile.pk, False, True)]
    assert wanted() == {("confirm", profile.pk)}
    assert not ConsentState.objects.exists()
    assert not Event.objects.exists()


def test_once_confirmed_what_was_said_enters_and_the_person_is_welcomed() -> None:
    made = sign_up(make_form())

    confirm(made)
    confirm(made)

    made.refresh_from_db()
    profile = Profile.objects.get(pk=made.profile_id)
    assert (made.state, profile.first_name) == ("done", "Ada")
    assert preferences_read(profile_ids=[profile.pk])[profile.pk].interests == ("hiking",)
    assert Identifier.objects.get().verified
    record = ConsentRecord.objects.get()
    assert (record.method, record.source, record.locale, record.jurisdiction) == (
        "sign_up", "sign-up form news v1", "de", "AT",
    )  # fmt: skip
    event = Event.objects.get()
    assert (event.name, event.message_id) == ("Signed Up", f"sign-up:{made.pk}")
    assert event.properties == {
        "form": "news", "device": "phone", "referrer": "search.example",
        "utm_source": "letter", "utm_campaign": "spring",
    }  # fmt: skip
    assert wanted() == {("confirm", profile.pk), ("welcome", profile.pk)}


def test_a_stranger_who_types_an_address_changes_nothing_of_its_holder() -> None:
    holder = make_profile(email="grace@example.org", first_name="Grace", language="fr")
    form = make_form(double=False)
    consent_withdraw(
        profile_id=holder.pk, purpose="marketing", channel="email", method=ConsentRecord.Method.STAFF, source="test"
    )

    made = sign_up(form, "grace@example.org")

    assert (made.profile_id, made.starter, made.state) == (holder.pk, False, "waiting")
    assert Profile.objects.values_list("first_name", "language", "country").get() == ("Grace", "fr", "")
    assert not ConsentState.objects.get().granted
    assert wanted() == {("confirm", holder.pk)}


def test_what_the_holder_of_an_address_is_known_by_stays_when_they_confirm() -> None:
    holder = make_profile(email="grace@example.org", first_name="Grace", language="fr")

    confirm(sign_up(make_form(), "grace@example.org"))

    assert Profile.objects.values_list("first_name", "language", "country").get() == ("Grace", "fr", "AT")
    assert ConsentState.objects.get(profile=holder).granted


def test_where_no_purpose_asks_for_more_somebody_new_is_signed_up_at_once() -> None:
    made = sign_up(make_form(double=False), purposes=("marketing", "personalisation"))

    assert made.state == "done"
    assert set(ConsentState.objects.values_list("purpose_id", "granted")) == {
        ("marketing", True),
        ("personalisation", True),
    }
    assert wanted() == {("welcome", made.profile_id)}


def test_a_double_click_is_one_sign_up() -> None:
    form = make_form()

    assert sign_up(form).pk == sign_up(form).pk
    assert (SignUp.objects.count(), OptIn.objects.count(), MailWant.objects.count()) == (1, 1, 1)
    assert len(holders_of(kind="email", value="ada@example.org")) == 1


def test_answers_of_who_has_not_confirmed_wait_with_the_sign_up() -> None:
    made = sign_up(make_form(survey=make_survey()), interests=())
    assert answer_keep(sign_up_id=made.pk, question=1, interest="running")
    assert answer_keep(sign_up_id=made.pk, question=1, interest="reading")
    assert not SurveyReply.objects.exists()

    confirm(made)

    assert SurveyReply.objects.values_list("question", "interest_id").get() == (1, "reading")
    assert preferences_read(profile_ids=[made.profile_id])[made.profile_id].interests == ("reading",)


def test_whoever_filled_in_the_form_answers_no_more_once_the_holder_confirmed() -> None:
    holder = make_profile(email="grace@example.org")
    made = sign_up(make_form(survey=make_survey()), "grace@example.org", interests=())
    confirm(made)

    assert not answer_keep(sign_up_id=made.pk, question=1, interest="running")
    assert preferences_read(profile_ids=[holder.pk])[holder.pk].interests == ()


def test_an_opt_in_of_somewhere_else_finishes_no_sign_up() -> None:
    made = sign_up(make_form())
    opt_in_confirmed(UUID(int=1))

    made.refresh_from_db()
    assert made.state == "waiting"
