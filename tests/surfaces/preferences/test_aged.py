"""Links by their age and their keys: leaving always works, the preferences for a while."""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import redis
from django.test import Client
from pytest_django import Settings

from apps.data.consent.links import preferences_url, unsubscribe_url
from apps.data.consent.models import ConsentRecord
from apps.data.profiles.models import Profile
from apps.decisioning.playbooks.models import MailWant, Playbook, PlaybookVersion
from apps.delivery.sending.recovery import uuid7_floor
from apps.foundation.core import signing
from apps.foundation.core.clock import now
from tests.delivery.makers import make_run
from tests.factories import make_profile

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def keys(settings: Settings) -> Iterator[Settings]:
    """Keys of links that a test may turn; what is remembered of them is forgotten before and behind it."""
    signing._keys.cache_clear()
    yield settings
    signing._keys.cache_clear()


def _keys_turn(settings: Settings, *keys: str) -> None:
    settings.LINK_KEYS = list(keys)
    signing._keys.cache_clear()


def _message(days: float) -> UUID:
    """The id of a message that is so many days old."""
    return uuid7_floor(now() - timedelta(days=days))


def _paths(profile: Profile, days: float) -> tuple[str, str]:
    ids = {"profile_id": profile.pk, "message_id": _message(days)}
    return urlsplit(preferences_url(**ids)).path, urlsplit(unsubscribe_url(**ids)).path  # type: ignore[arg-type]


def _published() -> None:
    version = make_run().version
    PlaybookVersion.objects.filter(pk=version.pk).update(mail_kind=Playbook.Mail.LINK, state="published")


def test_links_survive_that_their_key_is_replaced(client: Client, keys: Settings) -> None:
    _keys_turn(keys, "k1:the first key of all 0123456789")
    profile = make_profile(consent=("marketing",))
    preferences, unsubscribe = _paths(profile, 30)

    _keys_turn(keys, "k2:a second key 0123456789abcdef", "k1:the first key of all 0123456789")

    assert client.get(preferences).status_code == 200
    assert client.post(preferences, "do=withdraw&purpose=marketing", content_type=FORM).status_code == 303
    assert _paths(profile, 30)[0].startswith("/p/k2.")
    assert client.post(unsubscribe, "List-Unsubscribe=One-Click", content_type=FORM).status_code == 200

    _keys_turn(keys, "k2:a second key 0123456789abcdef")  # thrown away, which nobody should
    for path in (preferences, unsubscribe):
        assert client.get(path).status_code == 404


def test_an_old_link_still_leaves_and_opens_nothing(client: Client, settings: Settings) -> None:
    profile = make_profile(email="carla@example.com", consent=("marketing",))
    preferences, unsubscribe = _paths(profile, 91)

    page = client.get(preferences)
    refused = client.post(preferences, "do=agree&purpose=tracking", content_type=FORM)

    assert (page.status_code, refused.status_code) == (410, 410)
    assert "example.com" not in page.content.decode()
    assert ConsentRecord.objects.filter(profile=profile).count() == 1
    assert client.get(_paths(profile, 89)[0]).status_code == 200
    left = client.post(unsubscribe, "List-Unsubscribe=One-Click", content_type=FORM)
    assert (left.status_code, left.content) == (200, b"Unsubscribed.\n")
    assert ConsentRecord.objects.filter(profile=profile, action="withdraw").exists()
    ancient = _paths(make_profile(consent=("marketing",)), 3650)[1]
    assert client.post(ancient, "List-Unsubscribe=One-Click", content_type=FORM).status_code == 200


def test_an_old_link_offers_a_new_one_a_few_times(
    client: Client, settings: Settings, clean_redis: "redis.Redis"
) -> None:
    settings.LINK_ASKS_PER_ADDRESS = 2
    profile = make_profile()
    path, unsubscribe = _paths(profile, 400)
    assert "Send me a new link" not in client.get(path).content.decode()
    _published()

    page = client.get(path).content.decode()
    answers = [client.post(path, "do=new_link", content_type=FORM) for _ in range(3)]

    assert "Send me a new link" in page
    assert f'href="{unsubscribe}"' in page
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert all("Look into your inbox" in answer.content.decode() for answer in answers)
    assert list(MailWant.objects.values_list("profile", "kind")) == [(profile.pk, "link")] * 2
