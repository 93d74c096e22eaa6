"""Sign-up forms, surveys and sign-ups in the admin."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.foundation.core.clock import now
from apps.surfaces.signups.models import SignUp, SignUpForm, Survey
from apps.surfaces.signups.selectors import sign_up_figures
from tests.factories import make_user

from .makers import make_form, make_interests, make_sign_up, make_survey

pytestmark = pytest.mark.django_db


def signed_in(role: str) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def fields_of(page: str) -> dict[str, Any]:
    """What a page's form would post: hidden and text inputs, ticked boxes, textareas, choices."""
    fields: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", page):
        name, value = re.search(r'name="([^"]+)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and ('type="checkbox"' not in tag or re.search(r"\schecked[\s>=]", tag)) and 'type="submit"' not in tag:
            fields.setdefault(name[1], []).append(value[1] if value else "on")
    for name, text in re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>\n?([^<]*)</textarea>', page):
        fields[name] = [text]
    for name, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', page, re.DOTALL):
        fields[name] = re.findall(r'value="([^"]*)"[^>]*selected', options)
    return fields


def test_a_publisher_changes_a_form_and_its_words(client: Client) -> None:
    form = make_form()
    client = signed_in("publisher")
    path = f"/admin/signups/signupform/{form.pk}/change/"
    fields = fields_of(client.get(path).content.decode())

    answer = client.post(
        path, {**fields, "title_fr": "Lettres des montagnes", "origins": "https://shop.example\nhttps://b.example"}
    )

    assert answer.status_code == 302, answer.content.decode()[:3000]
    form.refresh_from_db()
    assert (form.words["fr"], form.version) == ({"title": "Lettres des montagnes"}, 2)
    assert form.origins == ["https://shop.example", "https://b.example"]
    assert form.purposes.count() == 2


def test_what_the_service_refuses_stands_at_its_field() -> None:
    form = make_form()
    client = signed_in("publisher")
    path = f"/admin/signups/signupform/{form.pk}/change/"
    fields = fields_of(client.get(path).content.decode())

    answer = client.post(path, {**fields, "origins": "shop.example"})

    assert "write it as https://shop.example" in answer.content.decode()
    assert SignUpForm.objects.get().version == 1


def test_who_may_only_look_sees_the_form_and_changes_nothing() -> None:
    form = make_form()
    client = signed_in("analyst")
    path = f"/admin/signups/signupform/{form.pk}/change/"

    page = client.get(path).content.decode()

    assert "/sign-up/news" in page
    assert client.post(path, {"name": "Mine"}).status_code == 403
    assert SignUpForm.objects.get().name == "News"


def test_a_survey_is_made_in_the_admin() -> None:
    make_interests("hiking", "running")
    client = signed_in("publisher")
    fields = {"code": "likes", "name": "Likes", "question_1_en": "What do you like?"}

    refused = client.post("/admin/signups/survey/add/", {**fields, "answer_1_1": "hiking"})
    made = client.post("/admin/signups/survey/add/", {**fields, "answer_1_1": "running", "answer_1_2": "hiking"})

    assert "two to 4 answers" in refused.content.decode()
    assert made.status_code == 302, made.content.decode()[:3000]
    assert Survey.objects.get().questions == [
        {"words": {"en": "What do you like?"}, "interests": ["running", "hiking"]}
    ]
    page = client.get(f"/admin/signups/survey/{Survey.objects.get().pk}/change/").content.decode()
    assert "links.answer_1 is “Running”" in page
    assert client.get("/admin/signups/survey/").status_code == 200


def test_figures_count_by_day_and_source_and_show_who_confirmed() -> None:
    form = make_form(survey=make_survey())
    for source, state, days in (
        ("letter", SignUp.State.DONE, 0),
        ("letter", SignUp.State.WAITING, 0),
        ("", SignUp.State.WAITING, 3),
        ("", SignUp.State.DONE, 90),
    ):
        make_sign_up(form, utm_source=source, state=state, created_at=now() - timedelta(days=days))

    figures = sign_up_figures(until=now())

    assert [(one.name, one.asked, one.done, one.share) for one in figures.sources] == [
        ("letter", 2, 1, 50),
        ("direct", 1, 0, 0),
    ]
    assert (figures.total.asked, figures.total.done, len(figures.days)) == (3, 1, 30)
    assert (figures.days[-1].done, figures.days[-1].waiting, figures.days[-4].waiting) == (1, 1, 1)


def test_the_list_shows_no_address() -> None:
    sign_up = make_sign_up(make_form(), referrer_host="search.example")
    client = signed_in("analyst")

    page = client.get("/admin/signups/signup/").content.decode()
    one = client.get(f"/admin/signups/signup/{sign_up.pk}/change/").content.decode()

    assert "search.example" in page
    assert "customer-" not in page + one
    assert "Sign-ups in the last 30 days" in page


def test_an_empty_list_says_how_to_begin() -> None:
    page = signed_in("analyst").get("/admin/signups/signup/").content.decode()

    assert "Publish a sign-up form" in page
