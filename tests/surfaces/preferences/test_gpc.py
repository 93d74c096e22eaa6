"""`Sec-GPC: 1` opts out the person whose browser sends it, unless they agree knowing that."""

from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.test import Client

from apps.data.consent.contracts import Circumstances
from apps.data.consent.gpc import gpc_heed
from apps.data.consent.links import preferences_url, unsubscribe_url
from apps.data.consent.models import ConsentRecord, ConsentState
from apps.data.consent.services import consent_grant
from apps.data.profiles.models import Profile
from tests.factories import make_profile

pytestmark = pytest.mark.django_db
SIGNAL = {"HTTP_SEC_GPC": "1"}


def preferences_path(person: Profile) -> str:
    return urlsplit(preferences_url(profile_id=person.pk, message_id=uuid4())).path


def on(person: Profile) -> set[tuple[str, str]]:
    return set(ConsentState.objects.filter(profile=person, granted=True).values_list("purpose_id", "channel"))


def test_the_signal_withdraws_what_it_speaks_against_and_the_page_says_so(client: Client) -> None:
    person = make_profile(consent=("marketing", "tracking", "profiling"))
    path = preferences_path(person)

    page = client.get(path, **SIGNAL).content.decode()  # type: ignore[arg-type]

    assert on(person) == {("marketing", "email")}
    assert "Global Privacy Control" in page
    records = ConsentRecord.objects.filter(profile=person, action="withdraw")
    assert set(records.values_list("purpose_id", "method", "gpc")) == {
        ("tracking", "gpc", True),
        ("profiling", "gpc", True),
    }
    before = ConsentRecord.objects.count()
    assert "Global Privacy Control" in client.get(path, **SIGNAL).content.decode()  # type: ignore[arg-type]
    assert ConsentRecord.objects.count() == before, "the second request has nothing to withdraw"


def test_without_the_signal_nothing_happens(client: Client) -> None:
    person = make_profile(consent=("tracking",))
    before = ConsentRecord.objects.count()

    page = client.get(preferences_path(person), HTTP_SEC_GPC="0").content.decode()

    assert on(person) == {("tracking", "email")}
    assert "Global Privacy Control" not in page
    assert ConsentRecord.objects.count() == before


def test_what_was_agreed_to_with_the_signal_on_stays() -> None:
    person = make_profile(consent=("tracking",))
    gpc_heed(profile_id=person.pk, source="test")
    consent_grant(
        profile_id=person.pk,
        purpose="tracking",
        channel="email",
        method=ConsentRecord.Method.PREFERENCES,
        source="test",
        circumstances=Circumstances(gpc=True),
    )

    assert gpc_heed(profile_id=person.pk, source="test") == ["profiling"]

    assert on(person) == {("tracking", "email")}


def test_with_nothing_on_record_the_signal_is_so_no_import_agrees_in_its_place() -> None:
    person = make_profile(consent=())

    gpc_heed(profile_id=person.pk, source="test")

    assert ConsentState.objects.filter(profile=person, granted=False).count() == 8  # two purposes on four channels


def test_the_page_for_leaving_changes_nothing_by_a_get(client: Client) -> None:
    person = make_profile(consent=("marketing", "tracking"))
    before = ConsentRecord.objects.count()

    client.get(urlsplit(unsubscribe_url(profile_id=person.pk, message_id=uuid4())).path, **SIGNAL)  # type: ignore[arg-type]

    assert ConsentRecord.objects.count() == before


def test_browsers_can_ask_whether_it_is_heeded(client: Client) -> None:
    answer = client.get("/.well-known/gpc.json")

    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert answer.json()["gpc"] is True
