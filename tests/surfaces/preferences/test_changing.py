"""Each step of the preference page: done by a plain form and by htmx, told, and undone."""

import re
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import pytest
from django.test import Client

from apps.data.consent.links import preferences_url
from apps.data.consent.models import ConsentRecord, ConsentState, Interest, PreferenceChange, Topic
from apps.data.consent.preferences import Chosen, preferences_read
from apps.data.consent.services import consent_grant
from apps.data.profiles.models import Profile
from tests.factories import make_profile

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(autouse=True)
def offered() -> None:
    words = {"de": {"name": "Wandern"}}
    Topic.objects.create(code="offers", name="Offers")
    Interest.objects.create(code="hiking", name="Hiking", translations=words)
    Interest.objects.create(code="gone", name="No longer offered", offered=False)


def path_of(profile: Profile) -> str:
    return urlsplit(preferences_url(profile_id=profile.pk, message_id=uuid4())).path


def chosen(profile: Profile) -> Chosen:
    return preferences_read(profile_ids=[profile.pk])[profile.pk]


def said(page: str) -> str:
    found = re.search(r'<p id="said"[^>]*>([^<]*)</p>', page)
    assert found is not None
    return found[1]


def undo_of(page: str) -> str:
    """The body of the form that undoes, as a browser would send it."""
    form = page[page.index('<div id="undo"') : page.index('id="undo-button"')]
    return urlencode(re.findall(r'name="(\w+)" value="([^"]*)"', form))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"do": "topic", "subject": "offers", "value": "off"}, "Done: “Offers” is off from now on."),
        ({"do": "channel", "subject": "email", "value": "off"}, "Done: “E-mail” is off from now on."),
        ({"do": "interest", "subject": "hiking", "value": "on"}, "Done: “Hiking” is one of your interests."),
        ({"do": "quiet", "start": "22:00", "end": "07:00"}, "Done: it is quiet from 22:00 to 07:00."),
        ({"do": "time_zone", "value": "Asia/Tokyo"}, "Done: your time zone is Asia/Tokyo."),
        ({"do": "pause"}, "Done: nothing comes until"),
    ],
    ids=lambda value: value["do"] if isinstance(value, dict) else "",
)
def test_each_step_is_told_and_undone_with_and_without_scripts(
    client: Client, fields: dict[str, str], sentence: str
) -> None:
    for headers in ({}, {"HX-Request": "true"}):
        profile = make_profile(consent=("marketing",))
        path = path_of(profile)

        answer = client.post(path, urlencode(fields), content_type=FORM, headers=headers)
        page = (client.get(answer["Location"]) if not headers else answer).content.decode()

        assert answer.status_code == (200 if headers else 303)
        assert said(page).startswith(sentence)
        assert chosen(profile) != Chosen()
        client.post(path, undo_of(page), content_type=FORM)
        assert chosen(profile) == Chosen()


def test_language_is_a_step_and_the_page_speaks_it_at_once(client: Client) -> None:
    profile = make_profile()
    path = path_of(profile)

    page = client.post(path, "do=language&value=de", content_type=FORM, headers={"HX-Request": "true"})

    assert chosen(profile).language == "de"
    assert "Wandern" in page.content.decode()
    assert client.get(path, headers={"Accept-Language": "fr"})["Content-Language"] == "de"


def test_language_of_the_page_alone_is_kept_nowhere(client: Client) -> None:
    profile = make_profile(language="fr")
    path = path_of(profile)

    answers = {
        asked: client.get(path + query, headers={"Accept-Language": "es"})["Content-Language"]
        for asked, query in (("own", ""), ("asked", "?lang=ar"), ("unknown", "?lang=tlh"))
    }

    assert answers == {"own": "fr", "asked": "ar", "unknown": "fr"}
    assert client.get(path_of(make_profile()), headers={"Accept-Language": "es"})["Content-Language"] == "es"
    assert client.get(path_of(make_profile()))["Content-Language"] == "en"
    assert not PreferenceChange.objects.exists()
    page = client.get(f"{path}?lang=ar").content.decode()
    assert '<html lang="ar" dir="rtl">' in page
    assert f'action="{path}?lang=ar"' in page


def test_what_was_changed_again_since_is_not_undone(client: Client) -> None:
    profile = make_profile()
    path = path_of(profile)
    page = client.post(path, "do=time_zone&value=Asia/Tokyo", content_type=FORM, headers={"HX-Request": "true"})
    old = undo_of(page.content.decode())
    client.post(path, "do=time_zone&value=Europe/Vienna", content_type=FORM)

    answer = client.post(path, old, content_type=FORM, follow=True)

    assert said(answer.content.decode()).startswith("It was changed again since")
    assert chosen(profile).time_zone == "Europe/Vienna"


@pytest.mark.parametrize(
    "body",
    [
        "do=topic&subject=unknown&value=off",
        "do=topic&subject=offers&value=maybe",
        "do=channel&subject=pigeon&value=off",
        "do=quiet&start=22:00",
        "do=quiet&start=22:00&end=22:00",
        "do=time_zone&value=Mars/Olympus",
        "do=language&value=%00",
        "do=frequency&value=daily",
        "do=undo",
        "do=undo&change=999999999",
        "do=undo&change=1%27",
    ],
)
def test_what_is_no_form_of_the_page_changes_nothing(client: Client, body: str) -> None:
    profile = make_profile()

    assert client.post(path_of(profile), body, content_type=FORM).status_code == 400
    assert not PreferenceChange.objects.exists()


def test_nobody_undoes_what_somebody_else_did(client: Client) -> None:
    profile, stranger = make_profile(), make_profile()
    client.post(path_of(profile), "do=time_zone&value=Asia/Tokyo", content_type=FORM)
    change = PreferenceChange.objects.get()

    assert client.post(path_of(stranger), f"do=undo&change={change.pk}", content_type=FORM).status_code == 400
    assert chosen(profile).time_zone == "Asia/Tokyo"
    page = client.get(f"{path_of(stranger)}?done=change&change={change.pk}").content.decode()
    assert said(page) == ""


def test_leaving_everything_leaves_every_channel_and_its_undo_brings_back_what_was_on(client: Client) -> None:
    profile = make_profile(consent=("marketing",))
    how: dict[str, Any] = {"method": ConsentRecord.Method.STAFF, "source": "test"}
    consent_grant(profile_id=profile.pk, purpose="tracking", channel="web", **how)
    path = path_of(profile)

    page = client.post(path, "do=leave", content_type=FORM, headers={"HX-Request": "true"}).content.decode()

    assert not ConsentState.objects.filter(profile=profile, granted=True).exists()
    assert ConsentState.objects.filter(profile=profile, granted=False).count() == 16
    client.post(path, undo_of(page), content_type=FORM)
    on = ConsentState.objects.filter(profile=profile, granted=True).values_list("purpose_id", "channel")
    assert set(on) == {("marketing", "email"), ("tracking", "web")}


def test_a_grant_keeps_the_words_that_were_read(client: Client) -> None:
    profile = make_profile()

    client.post(f"{path_of(profile)}?lang=de", "do=agree&purpose=marketing", content_type=FORM)

    record = ConsentRecord.objects.get(profile=profile)
    assert record.locale == "de"
    assert record.wording_digest != ""


def test_page_shows_what_is_offered_what_is_known_and_where_the_person_is_reached(client: Client) -> None:
    profile = make_profile(email="carla@example.com", first_name="Carla", country="AT", attributes={"shoe_size": 38})

    page = client.get(path_of(profile)).content.decode()

    for text in ("Offers", "Hiking", "Carla", "Austria", "Shoe size", "c•••@example.com"):
        assert text in page
    assert "No longer offered" not in page
    assert "Text messages" not in page
    assert "Notifications of the app" not in page
