"""The brand on its customers' pages: its colour without inline styles, and its words."""

from urllib.parse import urlsplit

import pytest
from django.test import Client

from apps.data.consent.links import preferences_url, unsubscribe_url
from apps.decisioning.content.models import Brand
from apps.delivery.sending.models import Message
from tests.surfaces.ledger import make_message

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"
WORDS = {
    "name": {"en": "Fern & Field, teas"},
    "title": {"en": "Your post from us", "de": "Deine Post von uns"},
    "intro": {"en": "Only what you like."},
    "goodbye": {"en": "Thank you for the time with us."},
}


@pytest.fixture
def message() -> Message:
    made = make_message()
    Brand.objects.update(page_accent="#1C5446", page_words=WORDS)
    return made


def path_of(message: Message) -> str:
    return urlsplit(preferences_url(profile_id=message.profile_id, message_id=message.pk)).path


def test_pages_look_and_speak_as_the_brand_of_the_message(client: Client, message: Message) -> None:
    page = client.get(path_of(message)).content.decode()

    assert '<link rel="stylesheet" href="/look/1c5446.css">' in page
    for text in ("Fern &amp; Field, teas", "Your post from us", "Only what you like."):
        assert text in page
    german = client.get(path_of(message) + "?lang=de").content.decode()
    assert "Deine Post von uns" in german
    assert "Only what you like." not in german


def test_goodbye_is_said_to_who_leaves(client: Client, message: Message) -> None:
    leave = client.post(path_of(message), "do=leave", content_type=FORM, follow=True).content.decode()
    path = urlsplit(unsubscribe_url(profile_id=message.profile_id, message_id=message.pk)).path
    left = client.post(path, "leave=marketing", content_type=FORM).content.decode()

    assert "Thank you for the time with us." in leave
    assert "Thank you for the time with us." in left


def test_styles_are_kept_for_ever_and_only_for_colours_that_can_be_read(client: Client) -> None:
    answer = client.get("/look/1c5446.css")

    assert answer["Content-Type"] == "text/css; charset=utf-8"
    assert "immutable" in answer["Cache-Control"]
    assert "--accent:#1c5446" in answer.content.decode()
    assert not answer.cookies
    for other in ("ffdd00", "1C5446", "red", "12345", "000;}"):
        assert client.get(f"/look/{other}.css").status_code == 404
