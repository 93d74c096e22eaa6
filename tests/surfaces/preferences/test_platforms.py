"""A consent platform's signed webhook: taken at once, once, and never a withdrawal lost."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from apps.data.consent.models import (
    AwaitedWithdrawal,
    ConsentPlatform,
    ConsentRecord,
    ConsentState,
    PlatformNotice,
)
from apps.data.consent.platform_bodies import PRESETS
from apps.data.consent.platforms import (
    awaited_apply,
    platform_create,
    platform_keys,
    platform_secret,
    platform_secret_change,
    platform_update,
)
from apps.data.consent.selectors import gate_read
from apps.data.consent.services import consent_grant, consents_grant_new
from apps.data.profiles.models import Profile
from apps.delivery.channels.standard_webhooks import headers_signed, secret_key
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict
from tests.factories import make_profile, make_purposes, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def platform() -> ConsentPlatform:
    make_purposes()
    return platform_create(by=make_user("administrator"), name="Elsewhere", mapping=PRESETS["plain"][1])


def told(email: str, choices: dict[str, Any], at: datetime | None = None) -> bytes:
    return json.dumps({"email": email, "occurred_at": (at or now()).isoformat(), "choices": choices}).encode()


def send(
    platform: ConsentPlatform,
    body: bytes,
    *,
    key: bytes | None = None,
    message_id: str = "",
    late: int = 0,
    client: Client | None = None,
    headers: Mapping[str, str] | None = None,
) -> Any:
    signed = headers_signed(
        keys=[key or secret_key(platform_secret(platform))],
        message_id=message_id or f"msg_{uuid4()}",
        timestamp=int(now().timestamp()) - late,
        body=body,
    )
    return (client or Client()).post(
        f"/hooks/consent/{platform.pk}", body, "application/json", headers={**signed, **(headers or {})}
    )


def reason_of(person: Profile, channel: str = "email") -> str:
    return gate_read(profile_ids=[person.pk], purpose="marketing", channel=channel)[person.pk].reason


def grant(person: Profile, **values: Any) -> None:
    consent_grant(
        profile_id=person.pk,
        purpose="marketing",
        channel="email",
        method=ConsentRecord.Method.STAFF,
        source="test",
        **values,
    )


def unchanged() -> tuple[int, int, int]:
    return ConsentRecord.objects.count(), PlatformNotice.objects.count(), AwaitedWithdrawal.objects.count()


def test_a_withdrawal_holds_once_it_is_answered_with_its_evidence(platform: ConsentPlatform) -> None:
    person = make_profile(email="carla@example.com")
    grant(person)

    answer = send(platform, told("Carla@example.com", {"newsletter": False}), message_id="msg_7")

    assert answer.status_code == 204
    assert reason_of(person) == "withdrawn"
    record = ConsentRecord.objects.latest("pk")
    assert (record.method, record.source) == ("platform", "consent platform Elsewhere")
    assert record.evidence.startswith("message msg_7, SHA-256 ")
    notice = PlatformNotice.objects.get()
    assert (notice.withdrawn, notice.granted, notice.awaited, notice.ignored) == (1, 0, 0, 0)


def test_a_grant_holds_for_one_who_is_known_and_for_nobody_else(platform: ConsentPlatform) -> None:
    person = make_profile(email="carla@example.com")
    twins = [make_profile(email="family@example.com") for _ in range(2)]

    for email in ("carla@example.com", "family@example.com", "nobody@example.com"):
        assert send(platform, told(email, {"newsletter": True})).status_code == 204

    assert reason_of(person) == ""
    assert [reason_of(one) for one in twins] == ["no_consent"] * 2
    assert list(PlatformNotice.objects.order_by("pk").values_list("granted", "ignored")) == [(1, 0), (0, 1), (0, 1)]


def test_a_withdrawal_is_for_all_who_hold_the_address(platform: ConsentPlatform) -> None:
    twins = [make_profile(email="family@example.com") for _ in range(2)]
    for one in twins:
        grant(one)

    send(platform, told("family@example.com", {"newsletter": False}))

    assert [reason_of(one) for one in twins] == ["withdrawn"] * 2


def test_a_message_comes_twice_and_is_taken_once(platform: ConsentPlatform) -> None:
    person = make_profile(email="carla@example.com")
    send(platform, told("carla@example.com", {"newsletter": True}), message_id="msg_1")
    before = unchanged()

    answer = send(platform, told("carla@example.com", {"newsletter": False}), message_id="msg_1")

    assert answer.status_code == 204
    assert unchanged() == before
    assert reason_of(person) == ""


def test_an_old_choice_that_comes_late_undoes_no_newer_one(platform: ConsentPlatform) -> None:
    person = make_profile(email="carla@example.com")
    send(platform, told("carla@example.com", {"newsletter": False}))

    send(platform, told("carla@example.com", {"newsletter": True}, at=now() - timedelta(hours=1)))

    assert reason_of(person) == "withdrawn"


def test_forged_cut_late_and_oversized_ones_change_nothing(platform: ConsentPlatform) -> None:
    make_profile(email="carla@example.com")
    body = told("carla@example.com", {"newsletter": True})
    before = unchanged()

    answers = [
        send(platform, body, key=b"x" * 32),
        send(platform, body, late=400),
        send(platform, body, late=-400),
        send(platform, body, headers={"webhook-signature": "v1,AAAA"}),
        send(platform, body, headers={"webhook-id": "another"}),
        send(platform, body + b" " * 200_000),
        Client().post(f"/hooks/consent/{platform.pk}", body, "application/json"),
        Client().post(f"/hooks/consent/{uuid4()}", body, "application/json"),
        Client().get(f"/hooks/consent/{platform.pk}"),
    ]

    assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 401, 413, 401, 401, 405]
    assert unchanged() == before
    platform.refresh_from_db()
    assert platform.last_at is None, "strangers leave no trace"


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'{"email": "carla@example.com"}', b"\xff\xfe"])
def test_what_cannot_be_read_is_refused_and_shown_to_staff(platform: ConsentPlatform, body: bytes) -> None:
    before = unchanged()

    assert send(platform, body).status_code == 400

    assert unchanged() == before
    platform.refresh_from_db()
    assert platform.last_problem


def test_a_choice_of_tomorrow_takes_nothing_of_its_message(platform: ConsentPlatform) -> None:
    person = make_profile(email="carla@example.com")
    grant(person)
    before = unchanged()

    answer = send(platform, told("carla@example.com", {"newsletter": False}, at=now() + timedelta(days=1)))

    assert answer.status_code == 400
    assert unchanged() == before


def test_a_failure_of_ours_is_a_500_and_leaves_nothing_so_that_it_can_come_again(platform: ConsentPlatform) -> None:
    person = make_profile(email="carla@example.com")
    broken = {**platform.mapping, "purposes": {"newsletter": ["marketing:email", "tracking:a channel of another time"]}}
    ConsentPlatform.objects.update(mapping=broken)
    client, body = Client(raise_request_exception=False), told("carla@example.com", {"newsletter": True})

    assert send(platform, body, message_id="msg_1", client=client).status_code == 500
    assert unchanged() == (0, 0, 0)

    ConsentPlatform.objects.update(mapping=platform.mapping)
    assert send(platform, body, message_id="msg_1").status_code == 204
    assert reason_of(person) == ""


def test_a_withdrawal_of_somebody_unknown_holds_for_who_turns_up(platform: ConsentPlatform) -> None:
    send(platform, told("later@example.com", {"newsletter": False}))
    assert AwaitedWithdrawal.objects.count() == 1
    assert awaited_apply() == 0
    person = make_profile(email="later@example.com")
    consents_grant_new(
        grants=[(person.pk, now() - timedelta(days=3))],
        purpose="marketing",
        channel="email",
        method=ConsentRecord.Method.IMPORT,
        source="file",
        evidence="the shop",
    )

    assert reason_of(person) == "withdrawn", "at once, before it is a record"
    assert awaited_apply() == 1
    assert not AwaitedWithdrawal.objects.exists()
    assert not ConsentState.objects.get(profile=person).granted
    assert ConsentRecord.objects.latest("pk").method == "platform"
    grant(person)
    assert reason_of(person) == "", "what they agree to after it holds"


def test_a_secret_is_changed_without_a_gap(platform: ConsentPlatform) -> None:
    make_profile(email="carla@example.com")
    old = secret_key(platform_secret(platform))
    by = make_user("administrator")
    platform_secret_change(platform_id=platform.pk, by=by)
    platform.refresh_from_db()
    body = told("carla@example.com", {"newsletter": True})

    assert [send(platform, body, key=key).status_code for key in (old, secret_key(platform_secret(platform)))] == [
        204,
        204,
    ]
    with pytest.raises(Conflict):
        platform_secret_change(platform_id=platform.pk, by=by)
    ConsentPlatform.objects.update(old_until=now() - timedelta(seconds=1))
    assert send(platform, body, key=old).status_code == 401
    assert len(platform_keys(ConsentPlatform.objects.get(), at=now())) == 1


def test_one_that_is_off_is_not_heard(platform: ConsentPlatform) -> None:
    platform_update(
        platform_id=platform.pk,
        by=make_user("administrator"),
        name="Elsewhere",
        mapping=platform.mapping,
        active=False,
    )

    assert send(platform, told("carla@example.com", {"newsletter": False})).status_code == 401
    assert not AwaitedWithdrawal.objects.exists()


def test_the_page_of_a_platform_shows_its_address_and_what_it_told(platform: ConsentPlatform) -> None:
    send(platform, told("later@example.com", {"newsletter": False}))
    client = Client()
    client.force_login(make_user("administrator"))

    page = client.get(f"/admin/consent/consentplatform/{platform.pk}/change/").content.decode()

    assert f"/hooks/consent/{platform.pk}" in page
    assert platform_secret(platform) in page
    assert "Withdrawn, not known yet" in page
    answer = client.post(
        f"/admin/consent/consentplatform/{platform.pk}/change/",
        {"name": "Elsewhere", "active": "on", "mapping": json.dumps({"person": []})},
    )
    assert "Person: a list" in answer.content.decode()
    assert ConsentPlatform.objects.get().mapping == platform.mapping
