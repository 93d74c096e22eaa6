"""Providers' webhooks, from the request to the state of the message."""

import json
from base64 import b64encode
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from pytest_django import Settings

from apps.data.consent.models import Suppression
from apps.delivery.sending.models import EventRaw, Message, MessageEvent
from apps.delivery.sending.reports import raw_open
from tests.delivery.channels.test_provider_reports import TOPIC, amazon, sns
from tests.delivery.sending.test_reports import make_messages, state_of

__all__ = ["amazon"]

pytestmark = pytest.mark.usefixtures("ledger")

SECRET = {"Authorization": "Basic " + b64encode(b"hook:s3cret").decode()}


@pytest.fixture(autouse=True)
def hooks(settings: Settings) -> None:
    settings.MAIL_HOOKS = {"ses": f"arn:other|{TOPIC}", "postmark": "hook:s3cret"}


def bounced(message: Message, **more: Any) -> dict[str, Any]:
    return {
        "RecordType": "Bounce",
        "Type": "HardBounce",
        "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
        "Details": "smtp;550 5.1.1 no such user",
        "BouncedAt": "2026-11-27T10:00:00Z",
        "Metadata": {"tessera": str(message.pk)},
        **more,
    }


def post(client: Client, provider: str, said: object, headers: dict[str, str] | None = None) -> int:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return client.post(
        f"/hooks/mail/{provider}", body, content_type="application/json", headers=headers or {}
    ).status_code


def test_a_bounce_is_taken_once(client: Client) -> None:
    (message,) = make_messages()

    assert post(client, "postmark", bounced(message), SECRET) == 204
    assert post(client, "postmark", bounced(message), SECRET) == 204
    assert (state_of(message), Suppression.objects.get().reason) == ("bounced", "bounce")
    assert json.loads(raw_open(EventRaw.objects.get()))["Type"] == "HardBounce"
    assert MessageEvent.objects.count() == 1


def test_amazons_too(client: Client) -> None:
    (message,) = make_messages()
    mail = {"headers": [{"name": "Message-ID", "value": f"<{message.pk}@shop.example>"}], "destination": []}
    said = {
        "notificationType": "Complaint",
        "complaint": {"complainedRecipients": [{"emailAddress": ""}]},
        "mail": mail,
    }

    assert post(client, "ses", sns(said)) == 204
    assert state_of(message) == "complained"


def test_opens_and_clicks_of_providers_are_not_taken(client: Client) -> None:
    (message,) = make_messages()
    common = {"Metadata": {"tessera": str(message.pk)}, "ReceivedAt": "2026-11-27T10:00:00Z"}

    assert post(client, "postmark", {"RecordType": "Open", **common}, SECRET) == 204
    assert post(client, "postmark", {"RecordType": "Click", **common}, SECRET) == 204
    assert (state_of(message), MessageEvent.objects.count()) == ("sent", 0)


def test_who_is_not_the_provider_changes_nothing(client: Client) -> None:
    (message,) = make_messages()
    wrong = {"Authorization": "Basic " + b64encode(b"hook:guess").decode()}

    assert post(client, "postmark", bounced(message), wrong) == 400
    assert post(client, "postmark", bounced(message)) == 401
    assert post(client, "postmark", b"{", SECRET) == 400
    assert post(client, "ses", bounced(message), SECRET) == 400
    assert post(client, "mailjet", bounced(message), SECRET) == 404  # not set up here
    assert post(client, "nobody", bounced(message), SECRET) == 404
    assert post(client, "postmark", b" " * (4 * 1024 * 1024 + 1), SECRET) == 413
    assert client.get("/hooks/mail/postmark").status_code == 405
    assert (state_of(message), MessageEvent.objects.count()) == ("sent", 0)


def test_a_failure_of_ours_makes_it_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    (message,) = make_messages()
    client = Client(raise_request_exception=False)

    def away(*_: Any) -> None:
        raise OperationalError("away")

    with monkeypatch.context() as patch:
        patch.setattr("apps.surfaces.tracking.hooks.reports_take", away)
        assert post(client, "postmark", bounced(message), SECRET) == 500
    assert post(client, "postmark", bounced(message), SECRET) == 204
    assert state_of(message) == "bounced"
