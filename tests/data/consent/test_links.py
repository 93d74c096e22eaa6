"""Links to a person's choices."""

from uuid import UUID

import pytest
from django.conf import settings

from apps.data.consent.links import (
    LinkScope,
    link_read,
    link_url,
    preferences_url,
    trial_link_read,
    trial_link_url,
    unsubscribe_url,
)
from apps.foundation.core.signing import BadToken, token_sign

MESSAGE = UUID("0198c0de-0000-7000-8000-000000000001")


def test_link_leads_back_to_person_and_message() -> None:
    url = unsubscribe_url(profile_id=7, message_id=MESSAGE)

    assert url.startswith(f"{settings.BASE_URL}/u/")
    assert link_read(LinkScope.UNSUBSCRIBE, url.rsplit("/", 1)[1]) == (7, MESSAGE)


def test_link_is_the_same_each_time() -> None:
    assert preferences_url(profile_id=7, message_id=MESSAGE) == preferences_url(profile_id=7, message_id=MESSAGE)


def test_a_link_to_leave_opens_no_preferences() -> None:
    token = link_url(LinkScope.UNSUBSCRIBE, profile_id=7, message_id=MESSAGE).rsplit("/", 1)[1]

    with pytest.raises(BadToken):
        link_read(LinkScope.PREFERENCES, token)


def test_signed_token_of_another_length_is_refused() -> None:
    with pytest.raises(BadToken, match="not a link"):
        link_read(LinkScope.UNSUBSCRIBE, token_sign("u", b"short"))


@pytest.mark.parametrize("of", [LinkScope.UNSUBSCRIBE, LinkScope.PREFERENCES])
def test_the_link_of_a_test_opens_nobodys_choices(of: LinkScope) -> None:
    url = trial_link_url(of, test_id=MESSAGE)
    token = url.rsplit("/", 1)[1]

    assert url.startswith(f"{settings.BASE_URL}/t/")
    assert len(url) == len(link_url(of, profile_id=7, message_id=MESSAGE))
    assert trial_link_read(token) == (of, MESSAGE)
    for scope in (LinkScope.UNSUBSCRIBE, LinkScope.PREFERENCES):
        with pytest.raises(BadToken):
            link_read(scope, token)
        with pytest.raises(BadToken):
            trial_link_read(link_url(scope, profile_id=7, message_id=MESSAGE).rsplit("/", 1)[1])


@pytest.mark.parametrize("payload", [b"short", b"y".ljust(8) + MESSAGE.bytes, b"\xff".ljust(8) + MESSAGE.bytes])
def test_a_tests_token_of_another_kind_is_refused(payload: bytes) -> None:
    with pytest.raises(BadToken):
        trial_link_read(token_sign(LinkScope.TEST, payload))
