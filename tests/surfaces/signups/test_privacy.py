"""Forgetting sign-ups that nobody confirmed, exporting and erasing them."""

from datetime import timedelta

import pytest

from apps.data.consent.models import Suppression
from apps.data.privacy.registry import Person, erase_steps, export_parts
from apps.data.profiles.models import Identifier, Profile
from apps.foundation.core.clock import now
from apps.surfaces.signups.models import SignUp, SurveyReply
from apps.surfaces.signups.privacy import sign_ups_forget
from tests.factories import make_profile

from .makers import make_form, make_interests, make_sign_up, make_survey

pytestmark = pytest.mark.django_db
LONG_AGO = now() - timedelta(days=40)
BEFORE = now() - timedelta(days=30)


def test_who_never_confirmed_is_forgotten_with_the_profile_and_may_sign_up_again() -> None:
    profile = make_profile(email="ada@example.org", attributes={"sign_up_device": "phone"})
    make_sign_up(make_form(), profile=profile, starter=True, created_at=LONG_AGO)

    assert sign_ups_forget(BEFORE, 100) == 1

    profile.refresh_from_db()
    assert profile.erased_at is not None
    assert profile.attributes == {}
    assert not Identifier.objects.exists()
    assert not Suppression.objects.exists()
    assert not SignUp.objects.exists()
    assert sign_ups_forget(BEFORE, 100) == 0


def test_who_is_known_by_something_else_stays() -> None:
    form = make_form()
    customer = make_profile(consent=("marketing",))
    verified = make_profile()
    verified.identifiers.update(verified=True)
    returned = make_profile()
    make_sign_up(form, profile=returned, starter=False, state=SignUp.State.DONE)
    lately = make_profile()
    fresh = make_sign_up(form, profile=lately)
    for profile in (customer, verified, returned, lately):
        make_sign_up(form, profile=profile, starter=True, created_at=LONG_AGO)

    assert sign_ups_forget(BEFORE, 100) == 4

    assert not Profile.objects.exclude(erased_at=None).exists()
    assert set(SignUp.objects.values_list("profile_id", flat=True)) == {returned.pk, lately.pk}
    assert SignUp.objects.filter(pk=fresh.pk).exists()


def test_a_sign_up_that_began_no_profile_takes_none_along() -> None:
    holder = make_profile(email="grace@example.org")
    make_sign_up(make_form(), profile=holder, starter=False, created_at=LONG_AGO)

    assert sign_ups_forget(BEFORE, 100) == 1
    assert Identifier.objects.filter(profile=holder).exists()


def test_sign_ups_and_answers_are_exported_and_erased() -> None:
    profile, other = make_profile(), make_profile()
    form, survey = make_form(), make_survey()
    interest = make_interests("hiking")[0]
    for person in (profile, other):
        make_sign_up(form, profile=person, purposes=["marketing"], given={"first_name": "Ada"}, utm_source="letter")
        SurveyReply.objects.create(profile=person, survey=survey, question=1, interest=interest, source="test")
    parts = {
        part.name: list(part.read(profile.pk)) for part in export_parts() if part.name in ("sign_ups", "survey_replies")
    }
    step = next(step for step in erase_steps() if step.name == "sign_ups")

    assert [(row["form"], row["said"], row["campaign"]) for row in parts["sign_ups"]] == [
        ("News", {"first_name": "Ada"}, {"utm_source": "letter"})
    ]
    assert [(row["survey"], row["answer"]) for row in parts["survey_replies"]] == [("Likes", "Hiking")]
    assert step.erase(Person(profile.pk)).count == 2
    assert step.erase(Person(profile.pk)).count == 0
    assert list(SignUp.objects.values_list("profile_id", flat=True)) == [other.pk]
    assert list(SurveyReply.objects.values_list("profile_id", flat=True)) == [other.pk]
