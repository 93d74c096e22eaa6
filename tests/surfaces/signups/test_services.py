"""What staff set up: sign-up forms and surveys."""

import pytest

from apps.data.consent.models import Purpose
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed
from apps.foundation.governance.models import AuditEntry
from apps.surfaces.signups.models import SignUpForm, Survey
from apps.surfaces.signups.selectors import form_languages
from apps.surfaces.signups.services import origins_checked, sign_up_form_create, sign_up_form_update, survey_save
from tests.factories import make_user

from .makers import make_form, make_interests, make_survey

pytestmark = pytest.mark.django_db


def fields_of(form: SignUpForm) -> dict[str, object]:
    plain = ("name", "brand", "asks_name", "words", "origins", "survey", "mail_survey", "active")
    return {name: getattr(form, name) for name in plain} | {
        "purposes": list(form.purposes.all()),
        "interests": list(form.interests.all()),
    }


def test_a_change_is_a_version_and_in_the_audit_log() -> None:
    form = make_form()

    changed = sign_up_form_update(form_id=form.pk, by=make_user("publisher"), **{**fields_of(form), "name": "Letters"})

    assert (changed.name, changed.version) == ("Letters", 2)
    assert set(AuditEntry.objects.values_list("action", flat=True)) >= {"signups.form.created", "signups.form.changed"}


def test_the_languages_of_a_form_begin_with_the_brands_own() -> None:
    assert form_languages(make_form()) == ["en", "ar", "de"]


def test_who_may_not_changes_nothing() -> None:
    form = make_form()

    for role in ("analyst", "local_editor", "engineer"):
        with pytest.raises(NotAllowed):
            sign_up_form_update(form_id=form.pk, by=make_user(role), **{**fields_of(form), "name": "Mine"})
        with pytest.raises(NotAllowed):
            sign_up_form_create(by=make_user(role), code="mine", **fields_of(form))

    assert list(SignUpForm.objects.values_list("name", "version")) == [("News", 1)]


def test_a_form_that_asks_for_nothing_or_says_nothing_is_refused() -> None:
    form, publisher = make_form(), make_user("publisher")
    wrong: tuple[dict[str, object], ...] = (
        {"purposes": []},
        {"purposes": [Purpose.objects.get(code="transactional")]},
        {"words": {}},
        {"words": {"en": {"title": "x" * 121}}},
        {"words": {"de": {"intro": "Nur das"}}},
        {"name": " "},
        {"origins": ["shop.example"]},
    )

    for one in wrong:
        with pytest.raises(Invalid) as refused:
            sign_up_form_update(form_id=form.pk, by=publisher, **{**fields_of(form), **one})
        assert refused.value.extra["problems"][0]["where"]

    assert SignUpForm.objects.get().version == 1


def test_a_code_is_taken_once() -> None:
    form = make_form()

    with pytest.raises(Conflict):
        sign_up_form_create(by=make_user("administrator"), code=form.code, **fields_of(form))


def test_origins_have_one_spelling() -> None:
    assert origins_checked(["https://Shop.example/", "https://shop.example:443", "http://localhost:8080"]) == [
        "https://shop.example",
        "http://localhost:8080",
    ]
    for bad in ("ftp://x", "https://x/y", "https://u@x", "*", "https://x:port"):
        with pytest.raises(Invalid):
            origins_checked([bad])


def test_a_survey_has_questions_with_answers() -> None:
    survey = make_survey(questions=3)
    codes = [interest.pk for interest in make_interests("hiking", "running")]
    publisher = make_user("publisher")

    for questions in (
        [],
        [{"words": {}, "interests": codes}],
        [{"words": {"en": "Which?"}, "interests": codes[:1]}],
        [{"words": {"en": "Which?"}, "interests": ["hiking", "hiking"]}],
        [{"words": {"en": "Which?"}, "interests": ["hiking", "nothing"]}],
        [{"words": {"en": "x" * 121}, "interests": codes}],
        [{"words": {"en": "Which?"}, "interests": codes}] * 4,
    ):
        with pytest.raises(Invalid):
            survey_save(by=publisher, survey_id=survey.pk, code="likes", name="Likes", questions=questions)  # type: ignore[arg-type]
    with pytest.raises(NotAllowed):
        survey_save(by=make_user("analyst"), survey_id=survey.pk, code="likes", name="Mine", questions=survey.questions)

    assert Survey.objects.values_list("name", "questions").get() == ("Likes", survey.questions)
