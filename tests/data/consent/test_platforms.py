"""Consent platforms: who lets one tell us, and what becomes of what it told."""

import json
from datetime import timedelta

import pytest

from apps.data.consent.models import AwaitedWithdrawal, ConsentPlatform, PlatformNotice
from apps.data.consent.platform_bodies import PRESETS
from apps.data.consent.platforms import (
    Taken,
    notice_take,
    notices_forget,
    platform_create,
    platform_secret_change,
)
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed
from tests.factories import make_purposes, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def platform() -> ConsentPlatform:
    make_purposes()
    return platform_create(by=make_user("administrator"), name="Elsewhere", mapping=PRESETS["plain"][1])


def left(minutes_ago: int) -> bytes:
    at = now() - timedelta(minutes=minutes_ago)
    body = {"email": "later@example.com", "occurred_at": at.isoformat(), "choices": {"newsletter": False}}
    return json.dumps(body).encode()


def test_only_administrators_let_a_platform_tell_us(platform: ConsentPlatform) -> None:
    with pytest.raises(NotAllowed):
        platform_create(by=make_user("publisher"), name="Mine", mapping=platform.mapping)
    with pytest.raises(NotAllowed):
        platform_secret_change(platform_id=platform.pk, by=make_user("legal_approver"))
    with pytest.raises(Invalid):
        platform_create(by=make_user("administrator"), name="Mine", mapping={})
    with pytest.raises(Conflict):
        platform_create(by=make_user("administrator"), name="Elsewhere", mapping=platform.mapping)
    assert ConsentPlatform.objects.count() == 1


def test_of_several_withdrawals_of_somebody_unknown_the_newest_is_kept(platform: ConsentPlatform) -> None:
    for number, minutes in enumerate((30, 10, 20)):
        taken = notice_take(platform=platform, message_id=f"msg_{number}", body=left(minutes))
        assert taken == Taken(awaited=1)

    kept = AwaitedWithdrawal.objects.get()
    assert timedelta(minutes=9) < now() - kept.occurred_at < timedelta(minutes=11)
    assert kept.evidence.startswith("message msg_1,")


def test_which_messages_were_taken_is_forgotten_later(platform: ConsentPlatform) -> None:
    notice_take(platform=platform, message_id="msg_1", body=left(1))
    PlatformNotice.objects.update(taken_at=now() - timedelta(days=31))

    assert notices_forget(now() - timedelta(days=30), 10) == 1
    assert AwaitedWithdrawal.objects.count() == 1, "what it told stays"


@pytest.mark.parametrize("message_id", ["", "x" * 121, "a\nb"])
def test_an_id_that_cannot_be_kept_is_refused(platform: ConsentPlatform, message_id: str) -> None:
    with pytest.raises(Invalid):
        notice_take(platform=platform, message_id=message_id, body=left(1))
    assert not AwaitedWithdrawal.objects.exists()
