"""Surveys after a sign-up and in a mail."""

from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.test import Client

from apps.data.consent.links import LinkScope, link_url
from apps.data.consent.preferences import preferences_read
from apps.decisioning.decisions.models import Decision
from apps.decisioning.playbooks.models import MailWant
from apps.surfaces.signups.models import SignUp, SurveyReply
from apps.surfaces.signups.tokens import survey_token
from tests.factories import make_profile
from tests.surfaces.ledger import make_message
from tests.surfaces.signups.makers import make_form, make_sign_up, make_survey

pytestmark = pytest.mark.django_db


def post(client: Client, path: str, fields: dict[str, Any], **more: Any) -> Any:
    """As a form posts it."""
    return client.post(path, urlencode(fields, doseq=True), content_type="application/x-www-form-urlencoded", **more)


def text_of(answer: Any) -> str:
    return str(answer.content.decode())


def interests_of(profile_id: int) -> tuple[str, ...]:
    return preferences_read(profile_ids=[profile_id])[profile_id].interests


def test_one_tap_answers_a_question_and_leads_to_the_next(client: Client) -> None:
    sign_up = make_sign_up(make_form(survey=make_survey(questions=2)), locale="de")
    here = f"/s/{survey_token(sign_up.pk)}"

    first = client.get(here)
    answered = post(client, here, {"answer": "hiking"})
    post(client, f"{here}?q=2", {"answer": "reading"})

    assert "Was magst du?" in text_of(first)
    assert (answered.status_code, answered["Location"]) == (303, f"{here}?q=2")
    assert SignUp.objects.get().answers == {"1": "hiking", "2": "reading"}
    assert client.get(f"{here}?q=3").status_code == 200
    assert "answer-chosen" in text_of(client.get(here))


def test_what_is_no_answer_is_refused(client: Client) -> None:
    sign_up = make_sign_up(make_form(survey=make_survey()))
    here = f"/s/{survey_token(sign_up.pk)}"

    for path, fields in ((here, {}), (here, {"answer": "sailing"}), (f"{here}?q=7", {"answer": "hiking"})):
        assert post(client, path, fields).status_code == 400
    assert client.get(f"/s/{survey_token(uuid4())}").status_code == 404
    assert client.get("/s/k1.nonsense").status_code == 404
    assert post(client, here[:-1], {"answer": "hiking"}).status_code == 404

    assert SignUp.objects.get().answers == {}


def test_once_it_is_confirmed_the_survey_of_another_holder_is_closed(client: Client) -> None:
    sign_up = make_sign_up(make_form(survey=make_survey()), state=SignUp.State.DONE)
    here = f"/s/{survey_token(sign_up.pk)}"

    post(client, here, {"answer": "hiking"})

    assert "Your answers are taken" in text_of(client.get(here))
    assert (SignUp.objects.get().answers, interests_of(sign_up.profile_id)) == ({}, ())


def welcome_path(*, answer: int, mail_survey: bool = True) -> tuple[str, int]:
    """The link of an answer in the welcome mail of a sign-up, and the person's number."""
    survey = make_survey()
    form = make_form(mail_survey=survey if mail_survey else None)
    message = make_message()
    sign_up = make_sign_up(form, profile=message.profile, locale="en")
    MailWant.objects.create(
        kind="welcome",
        profile=sign_up.profile,
        key=f"sign-up:{sign_up.pk}",
        run=Decision.objects.get(pk=message.pk).run,
    )
    url = link_url(LinkScope.ANSWER, profile_id=sign_up.profile_id, message_id=message.pk)
    return f"/a/{url.rpartition('/')[2]}/{answer}", sign_up.profile_id


def test_a_look_at_an_answers_link_changes_nothing_and_the_button_sets_it(client: Client) -> None:
    path, person = welcome_path(answer=1)

    looked = client.get(path)
    client.head(path)
    assert "You chose “Hiking”" in text_of(looked)
    assert (interests_of(person), SurveyReply.objects.count()) == ((), 0)

    said = post(client, path, {"do": "answer"})
    assert (said.status_code, interests_of(person)) == (303, ("hiking",))
    assert "Your answer is noted" in text_of(client.get(said["Location"]))


def test_another_answer_takes_the_place_of_the_first_and_can_be_taken_back(client: Client) -> None:
    path, person = welcome_path(answer=1)
    other = path[:-1] + "2"
    post(client, path, {"do": "answer"})

    assert "It takes the place of “Hiking”" in text_of(client.get(other))
    post(client, other, {"do": "answer"})
    assert interests_of(person) == ("running",)

    back = post(client, other, {"do": "take_back"})
    assert "Taken back" in text_of(client.get(back["Location"]))
    assert interests_of(person) == ()


def test_links_that_ask_nothing_open_nothing(client: Client) -> None:
    path, person = welcome_path(answer=1)
    stranger = link_url(LinkScope.ANSWER, profile_id=make_profile().pk, message_id=uuid4()).rpartition("/")[2]

    for wrong in (path[:-1] + "0", path[:-1] + "9", path[:-3] + "/1", f"/a/{stranger}/1"):
        assert client.get(wrong).status_code == 404
        assert post(client, wrong, {"do": "answer"}).status_code == 404
    assert post(client, path, {"do": "nothing"}).status_code == 400

    assert (interests_of(person), SurveyReply.objects.count()) == ((), 0)


def test_a_welcome_without_a_survey_asks_nothing(client: Client) -> None:
    path, _ = welcome_path(answer=1, mail_survey=False)

    assert client.get(path).status_code == 404
