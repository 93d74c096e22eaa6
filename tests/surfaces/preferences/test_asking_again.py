"""A purpose whose text changed its meaning says so to those who agreed before, and asks again."""

from datetime import timedelta
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import pytest
from django.test import Client

from apps.data.consent.links import preferences_url
from apps.data.consent.models import ConsentRecord
from apps.data.consent.origins import origin_read
from apps.data.consent.selectors import gate_read
from apps.data.consent.wordings import wording_shown
from apps.data.profiles.models import Profile
from apps.foundation.core.clock import now
from tests.factories import make_profile
from tests.wordings import FIRST, SECOND, agree, make_wording, next_version

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"


def path_of(person: Profile) -> str:
    return urlsplit(preferences_url(profile_id=person.pk, message_id=uuid4())).path


def reason_of(person: Profile) -> str:
    return gate_read(profile_ids=[person.pk], purpose="marketing", channel="email")[person.pk].reason


def test_the_page_asks_again_and_agreeing_there_holds(client: Client) -> None:
    wording = make_wording()
    person = make_profile()
    agree(person)
    next_version(wording, SECOND, material=True)
    path = path_of(person)

    page = client.get(path).content.decode()
    assert SECOND["en"] in page
    assert "I agree to the new text" in page
    assert 'aria-checked="true"' not in page.partition('id="switch-marketing"')[0].rpartition("<button")[2]
    digest = wording_shown(purpose="marketing", channel="email", locale="en").digest
    body = urlencode({"do": "agree", "purpose": "marketing", "shown_marketing": digest})
    client.post(path, body, FORM, REMOTE_ADDR="203.0.113.8", HTTP_SEC_GPC="1")

    assert reason_of(person) == ""
    assert "I agree to the new text" not in client.get(path).content.decode()
    record = ConsentRecord.objects.filter(purpose="marketing").latest("pk")
    assert (record.wording_digest, record.gpc) == (digest, True)
    origin = origin_read(digest=bytes(record.origin_digest))
    assert origin is not None
    assert origin.ip == "203.0.113.8"


def test_while_the_old_agreement_holds_the_page_says_until_when(client: Client) -> None:
    wording = make_wording()
    person = make_profile()
    agree(person)
    next_version(wording, SECOND, material=True, holds_until=now() + timedelta(days=20))

    page = client.get(path_of(person)).content.decode()

    assert "What you agreed to before holds until" in page
    assert reason_of(person) == ""


def test_who_agreed_on_a_page_opened_before_the_change_agreed_to_the_old_text(client: Client) -> None:
    wording = make_wording()
    person = make_profile()
    shown = wording_shown(purpose="marketing", channel="email", locale="en")
    next_version(wording, SECOND, material=True)

    body = urlencode({"do": "agree", "purpose": "marketing", "shown_marketing": shown.digest})
    client.post(path_of(person), body, FORM)

    assert ConsentRecord.objects.latest("pk").wording_digest == shown.digest
    assert shown.text == FIRST["en"]
    assert reason_of(person) == "wording_outdated"


def test_a_made_up_digest_is_not_believed(client: Client) -> None:
    make_wording()
    person = make_profile()

    body = urlencode({"do": "agree", "purpose": "marketing", "shown_marketing": "ab" * 32})
    client.post(path_of(person), body, FORM)

    now_shown = wording_shown(purpose="marketing", channel="email", locale="en")
    assert ConsentRecord.objects.latest("pk").wording_digest == now_shown.digest
