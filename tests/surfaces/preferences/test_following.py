"""The stream and the part of the preference page that moves."""

from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from django.test import Client

from apps.data.consent.links import LinkScope, link_url, preferences_url
from apps.data.consent.models import Suppression
from apps.data.consent.services import suppression_add
from tests.factories import make_profile

pytestmark = pytest.mark.django_db


def token_of(profile_id: int, scope: LinkScope = LinkScope.PREFERENCES, *, message_id: UUID | None = None) -> str:
    return link_url(scope, profile_id=profile_id, message_id=message_id or uuid4()).rpartition("/")[2]


def test_stream_is_for_the_holder_of_the_link_and_sets_no_cookie(client: Client) -> None:
    profile = make_profile()

    answer = client.get(f"/live/p/{token_of(profile.pk)}")

    assert answer.status_code == 204  # under WSGI: the page asks now and then instead
    assert (answer["Cache-Control"], answer["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert not answer.cookies


def test_stream_is_refused_to_other_links_and_other_methods(client: Client) -> None:
    profile = make_profile()

    assert client.get(f"/live/p/{token_of(profile.pk, LinkScope.UNSUBSCRIBE)}").status_code == 404
    assert client.get(f"/live/p/{token_of(profile.pk)[:-2]}").status_code == 404
    assert client.get(f"/live/p/{token_of(profile.pk + 1000)}").status_code == 404
    assert client.get(f"/live/p/{token_of(2**63)}").status_code == 404
    assert client.head(f"/live/p/{token_of(profile.pk)}").status_code == 405
    old = UUID("01890000-0000-7000-8000-000000000000")  # of 2023
    assert client.get(f"/live/p/{token_of(profile.pk, message_id=old)}").status_code == 404


def test_part_that_moves_is_what_the_page_shows(client: Client) -> None:
    profile = make_profile(email="ada@example.com", consent=("marketing",))
    path = urlsplit(preferences_url(profile_id=profile.pk, message_id=uuid4())).path
    suppression_add(kind="email", value="ada@example.com", reason=Suppression.Reason.MANUAL)

    page = client.get(path).content.decode()
    part = client.get(path, headers={"HX-Request": "true"}).content.decode()

    assert "nothing at all is sent to this address" in part
    assert "<html" not in part
    assert part.strip() in page
    assert f'data-live="/live/p/{path.rpartition("/")[2]}"' in page
