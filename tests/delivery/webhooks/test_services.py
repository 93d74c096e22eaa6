"""News is written with what happened, carried out, tried again, and given up."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from apps.data.consent.models import ConsentRecord, Suppression
from apps.data.consent.services import consent_grant, consent_withdraw, consents_grant_new, suppression_add
from apps.delivery.channels.standard_webhooks import secret_key, webhook_verify
from apps.delivery.channels.webhook import Answer
from apps.delivery.webhooks import services
from apps.delivery.webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from apps.delivery.webhooks.services import (
    deliver_due,
    delivery_again,
    endpoint_create,
    endpoint_secret,
    endpoint_secret_change,
    endpoint_test,
    endpoint_update,
    events_forget,
)
from apps.foundation.core import clock
from apps.foundation.core.errors import Conflict, DomainError, Invalid, NotAllowed
from apps.foundation.governance.models import AuditEntry
from tests.delivery.webhooks.receiver import Receiver
from tests.factories import make_profile, make_user

pytestmark = pytest.mark.django_db

BY: dict[str, Any] = {"channel": "email", "method": ConsentRecord.Method.STAFF, "source": "test"}
State = WebhookDelivery.State


def make_endpoint(receiver: Receiver, *kinds: str) -> WebhookEndpoint:
    return endpoint_create(
        by=make_user("administrator"), name="CRM", url=receiver.url, kinds=kinds or ("consent.changed",)
    )


def at_once() -> None:
    """What waits is due."""
    WebhookDelivery.objects.update(next_at=clock.now() - timedelta(seconds=1))
    WebhookEndpoint.objects.update(open_until=None)


def test_a_change_of_consent_is_told_with_a_signature(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver)
    person = make_profile(email="secret@example.com")
    consent_withdraw(profile_id=person.pk, purpose="marketing", **BY)

    assert deliver_due() == 1

    one = receiver.received[0]
    record = ConsentRecord.objects.get()
    body = json.loads(one.body)
    assert body["type"] == "consent.changed"
    assert body["data"] == {
        "record": record.pk,
        "version": record.pk,
        "profile": person.pk,
        "purpose": "marketing",
        "channel": "email",
        "granted": False,
        "occurred_at": record.occurred_at.isoformat(),
    }
    key = secret_key(endpoint_secret(endpoint))
    stamp = float(one.headers["webhook-timestamp"])
    assert webhook_verify(keys=[key], headers=one.headers, body=one.body, at=stamp).startswith("msg_")
    assert b"secret@" not in one.body
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.status) == (State.DELIVERED, 1, 204)
    assert deliver_due() == 0


def test_what_did_not_happen_is_not_told(receiver: Receiver) -> None:
    make_endpoint(receiver)
    person = make_profile()
    with transaction.atomic():
        consent_withdraw(profile_id=person.pk, purpose="marketing", **BY)
        assert WebhookEvent.objects.count() == 1
        transaction.set_rollback(True)

    assert not WebhookEvent.objects.exists()


def test_grants_of_an_import_and_suppressions_are_told_each(receiver: Receiver) -> None:
    make_endpoint(receiver, "consent.changed", "suppression.added")
    people = [make_profile(email=f"p{number}@example.com") for number in range(3)]
    consent_withdraw(profile_id=people[0].pk, purpose="marketing", **BY)
    consents_grant_new(
        grants=[(person.pk, datetime(2026, 1, 1, tzinfo=UTC)) for person in people],
        purpose="marketing",
        evidence="a list",
        **BY,
    )
    suppression_add(kind="email", value="p1@example.com", reason=Suppression.Reason.BOUNCE)

    assert deliver_due() == 4
    told = [json.loads(one.body) for one in receiver.received]
    assert [one["type"] for one in told] == ["consent.changed"] * 3 + ["suppression.added"]
    assert {one["data"]["profile"]: one["data"]["granted"] for one in told[:3]} == {
        people[0].pk: False,
        people[1].pk: True,
        people[2].pk: True,
    }
    assert told[3]["data"] == {"reason": "bounce", "kind": "email", "profiles": [people[1].pk]}


def test_only_those_are_told_who_want_it(receiver: Receiver) -> None:
    make_endpoint(receiver, "suppression.added")
    consent_grant(profile_id=make_profile().pk, purpose="marketing", **BY)

    assert not WebhookEvent.objects.exists()


def test_a_failure_is_tried_again_with_the_same_id_and_then_given_up(receiver: Receiver) -> None:
    make_endpoint(receiver)
    receiver.answer = lambda one: 500
    consent_withdraw(profile_id=make_profile().pk, purpose="marketing", **BY)

    pauses = []
    for _ in range(10):
        before = clock.now()
        assert deliver_due() == 1
        delivery = WebhookDelivery.objects.get()
        pauses.append(delivery.next_at - before)
        at_once()
    assert deliver_due() == 0

    assert {one.headers["webhook-id"] for one in receiver.received} == {delivery.event.message_id}
    assert (delivery.state, delivery.attempts, delivery.status) == (State.FAILED, 10, 500)
    assert timedelta(seconds=4) <= pauses[0] <= timedelta(seconds=7)
    assert timedelta(days=2.4) < sum(pauses[:9], timedelta()) < timedelta(days=3.8)


def test_a_breaker_leaves_a_failing_endpoint_alone_and_only_that_one(receiver: Receiver) -> None:
    bad, good = make_endpoint(receiver), make_endpoint(receiver)
    WebhookEndpoint.objects.filter(pk=bad.pk).update(url=receiver.url + "/bad")
    receiver.answer = lambda one: 500 if one.path.endswith("/bad") else 204
    for _ in range(8):
        consent_withdraw(profile_id=make_profile().pk, purpose="marketing", **BY)

    deliver_due()

    assert WebhookDelivery.objects.filter(endpoint=good, state=State.DELIVERED).count() == 8
    assert sum(one.path.endswith("/bad") for one in receiver.received) == 5
    bad.refresh_from_db()
    assert bad.failures == 5
    assert bad.open_until is not None
    assert bad.open_until > clock.now()

    receiver.answer = lambda one: 204
    at_once()
    deliver_due()
    assert list(WebhookEndpoint.objects.values_list("failures", "open_until")) == [(0, None)] * 2
    assert not WebhookDelivery.objects.filter(state=State.WAITING).exists()


def test_gone_switches_the_endpoint_off(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver)
    receiver.answer = lambda one: 410
    for _ in range(3):
        consent_withdraw(profile_id=make_profile().pk, purpose="marketing", **BY)

    deliver_due()

    endpoint.refresh_from_db()
    assert (endpoint.active, endpoint.disabled_because) == (False, "It answered 410 Gone: nobody is there any more.")
    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {State.DROPPED}
    assert len(receiver.received) == 1
    assert AuditEntry.objects.filter(action="webhooks.endpoint.disabled").count() == 1
    consent_withdraw(profile_id=make_profile().pk, purpose="marketing", **BY)
    assert WebhookEvent.objects.count() == 3, "news for an endpoint that is off"


def test_a_secret_changes_without_a_gap(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver)
    old = secret_key(endpoint_secret(endpoint))
    by = make_user("administrator")
    endpoint = endpoint_secret_change(endpoint_id=endpoint.pk, by=by)
    new = secret_key(endpoint_secret(endpoint))
    endpoint_test(endpoint_id=endpoint.pk, by=by)
    deliver_due()

    one = receiver.received[0]
    stamp = float(one.headers["webhook-timestamp"])
    assert new != old
    for key in (new, old):
        webhook_verify(keys=[key], headers=one.headers, body=one.body, at=stamp)
    with pytest.raises(Conflict):
        endpoint_secret_change(endpoint_id=endpoint.pk, by=by)

    WebhookEndpoint.objects.update(old_until=clock.now() - timedelta(seconds=1))
    endpoint_test(endpoint_id=endpoint.pk, by=by)
    deliver_due()
    assert len(receiver.received[1].headers["webhook-signature"].split()) == 1


def test_a_try_that_was_overtaken_records_nothing(receiver: Receiver) -> None:
    """Its process slept past its claim; another one tried meanwhile."""
    make_endpoint(receiver)
    consent_withdraw(profile_id=make_profile().pk, purpose="marketing", **BY)
    slept = services._claim(clock.now())
    assert slept is not None
    at_once()
    assert deliver_due() == 1

    services._record(slept, Answer(500, "refused"), chance=0.5)

    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.status) == (State.DELIVERED, 1, 204)


def test_what_is_claimed_is_not_tried_by_another(receiver: Receiver) -> None:
    make_endpoint(receiver)
    consent_withdraw(profile_id=make_profile().pk, purpose="marketing", **BY)

    assert services._claim(clock.now()) is not None
    assert deliver_due() == 0


def test_a_delivery_can_be_sent_again(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver)
    consent_withdraw(profile_id=make_profile().pk, purpose="marketing", **BY)
    deliver_due()
    by = make_user("administrator")

    delivery_again(delivery_id=WebhookDelivery.objects.get().pk, by=by)
    assert deliver_due() == 1

    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
    assert len(receiver.received) == 2
    endpoint_update(endpoint_id=endpoint.pk, by=by, name="x", url=endpoint.url, kinds=endpoint.kinds, active=False)
    with pytest.raises(Conflict):
        delivery_again(delivery_id=WebhookDelivery.objects.get().pk, by=by)


def test_old_news_is_forgotten_and_what_waits_is_kept(receiver: Receiver) -> None:
    make_endpoint(receiver)
    for _ in range(2):
        consent_withdraw(profile_id=make_profile().pk, purpose="marketing", **BY)
    first = WebhookDelivery.objects.order_by("pk").first()
    assert first is not None
    WebhookDelivery.objects.filter(pk=first.pk).update(state=State.DELIVERED)

    assert events_forget(clock.now() + timedelta(days=1), 100) == 1
    assert WebhookDelivery.objects.get().state == State.WAITING


@pytest.mark.parametrize(
    ("url", "kinds"),
    [
        ("http://shop.example/", ("consent.changed",)),
        ("nonsense", ("consent.changed",)),
        ("https://shop.example/", ()),
        ("https://shop.example/", ("consent.changed", "other")),
    ],
)
def test_wrong_endpoints_are_refused(url: str, kinds: tuple[str, ...]) -> None:
    with pytest.raises(Invalid):
        endpoint_create(by=make_user("administrator"), name="CRM", url=url, kinds=kinds)

    assert not WebhookEndpoint.objects.exists()


@pytest.mark.parametrize("role", ["local_editor", "engineer", "publisher", "brand_approver", "analyst"])
def test_only_administrators_set_webhooks_up(receiver: Receiver, role: str) -> None:
    endpoint = make_endpoint(receiver)
    by = make_user(role)
    deeds: list[Callable[[], Any]] = [
        lambda: endpoint_create(by=by, name="x", url=receiver.url, kinds=["consent.changed"]),
        lambda: endpoint_update(endpoint_id=endpoint.pk, by=by, name="x", url="x", kinds=[], active=False),
        lambda: endpoint_secret_change(endpoint_id=endpoint.pk, by=by),
        lambda: endpoint_test(endpoint_id=endpoint.pk, by=by),
        lambda: delivery_again(delivery_id=1, by=by),
    ]
    for deed in deeds:
        with pytest.raises(NotAllowed):
            deed()

    again = WebhookEndpoint.objects.get()
    assert (again.name, again.active, bytes(again.nonce)) == ("CRM", True, bytes(endpoint.nonce))
    assert issubclass(NotAllowed, DomainError)
