"""Answers to surveys, and the interests they set."""

import pytest

from apps.data.consent.models import ConsentRecord, PreferenceChange
from apps.data.consent.preferences import preference_change, preferences_read
from apps.foundation.core.errors import NotFound
from apps.surfaces.signups.models import SurveyReply
from apps.surfaces.signups.replies import reply_give, reply_take_back
from tests.factories import make_profile

from .makers import make_survey

pytestmark = pytest.mark.django_db
METHOD = ConsentRecord.Method.PREFERENCES


def interests_of(profile_id: int) -> tuple[str, ...]:
    return preferences_read(profile_ids=[profile_id])[profile_id].interests


def give(profile_id: int, interest: str, *, question: int = 1, survey: object = None) -> None:
    reply_give(
        profile_id=profile_id,
        survey=survey or make_survey(),  # type: ignore[arg-type]
        question=question,
        interest=interest,
        method=METHOD,
        source="test",
    )


def test_who_changes_their_mind_has_one_answer() -> None:
    profile, survey = make_profile(), make_survey()

    give(profile.pk, "hiking", survey=survey)
    give(profile.pk, "hiking", survey=survey)
    give(profile.pk, "reading", survey=survey)

    assert interests_of(profile.pk) == ("reading",)
    assert SurveyReply.objects.values_list("question", "interest_id", "gave").get() == (1, "reading", True)
    assert PreferenceChange.objects.filter(profile=profile).count() == 3  # on, off, on


def test_what_was_said_before_elsewhere_stays_when_an_answer_is_taken_back() -> None:
    profile, survey = make_profile(), make_survey()
    preference_change(
        profile_id=profile.pk,
        kind=PreferenceChange.Kind.INTEREST,
        subject="hiking",
        value=True,
        method=METHOD,
        source="x",
    )

    give(profile.pk, "hiking", survey=survey)
    taken = reply_take_back(profile_id=profile.pk, survey_id=survey.pk, question=1, method=METHOD, source="test")

    assert (taken, interests_of(profile.pk), SurveyReply.objects.count()) == (True, ("hiking",), 0)
    assert not reply_take_back(profile_id=profile.pk, survey_id=survey.pk, question=1, method=METHOD, source="test")


def test_what_two_answers_say_stays_until_both_are_taken_back() -> None:
    profile, survey = make_profile(), make_survey(questions=2)
    give(profile.pk, "hiking", survey=survey)
    give(profile.pk, "hiking", question=2, survey=survey)

    reply_take_back(profile_id=profile.pk, survey_id=survey.pk, question=1, method=METHOD, source="test")

    assert interests_of(profile.pk) == ("hiking",)


def test_what_is_no_answer_changes_nothing() -> None:
    profile, survey = make_profile(), make_survey()

    for question, interest in ((1, "sailing"), (0, "hiking"), (2, "hiking")):
        with pytest.raises(NotFound):
            give(profile.pk, interest, question=question, survey=survey)

    assert (interests_of(profile.pk), SurveyReply.objects.count()) == ((), 0)
