"""Shops' and help desks' webhooks, from the request to what is known."""

import hmac
import json
import time
from base64 import b64encode
from datetime import timedelta

import pytest
from django.test import Client
from pytest_django import Settings

from apps.data.events.models import Order, Ticket
from apps.data.inbound.models import InboundLetter
from apps.data.inbound.services import system_stop
from apps.delivery.channels.standard_webhooks import headers_signed, secret_key, secret_text
from apps.foundation.core.clock import now
from tests.data.inbound.test_bodies import SECRET, WOO_ORDER, ZENDESK
from tests.factories import make_user

pytestmark = pytest.mark.django_db

STANDARD = secret_text(b"s" * 32)


@pytest.fixture(autouse=True)
def systems(settings: Settings) -> None:
    settings.INBOUND_SYSTEMS = {
        "shop": {"kind": "woocommerce", "secret": SECRET},
        "desk": {"kind": "webhook", "secret": STANDARD, "mapping": ZENDESK},
    }


def woo(client: Client, body: bytes, *, secret: str = SECRET, code: str = "shop") -> int:
    signature = b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()
    headers = {"X-WC-Webhook-Signature": signature, "X-WC-Webhook-Topic": "order.updated"}
    return client.post(f"/hooks/in/{code}", body, content_type="application/json", headers=headers).status_code


def test_an_order_comes_in_signed_and_only_so(client: Client) -> None:
    body = json.dumps(WOO_ORDER).encode()

    assert woo(client, body, secret="somebody-elses") == 401
    assert woo(client, body, code="nobody") == 404
    assert client.get("/hooks/in/shop").status_code == 405
    assert not Order.objects.exists()
    assert [woo(client, body) for _ in range(2)] == [204, 204]
    assert Order.objects.get().external_id == "727"
    ping = client.post("/hooks/in/shop", b"webhook_id=7", content_type="application/x-www-form-urlencoded")
    assert ping.status_code == 204
    assert not InboundLetter.objects.exists()


def test_what_can_not_be_taken_is_answered_as_taken_and_kept(client: Client) -> None:
    for body in (b"", b"[", b"\xff", b"[" * 50_000, b'{"id": 1}'):
        assert woo(client, body) == 204
    assert InboundLetter.objects.count() == 5
    assert woo(client, b"x" * (2 * 1024 * 1024 + 1)) == 413


def test_a_stopped_system_comes_again(client: Client) -> None:
    system_stop(code="shop", by=make_user("engineer"))
    assert woo(client, json.dumps(WOO_ORDER).encode()) == 503
    assert not Order.objects.exists()


def test_a_help_desk_by_standard_webhooks(client: Client) -> None:
    at = (now() - timedelta(minutes=1)).isoformat()
    said = {"ticket": {"id": 1, "status": "open", "updated_at": at, "requester": {"email": "zoe@example.com"}}}
    body = json.dumps(said).encode()
    signed = headers_signed(keys=[secret_key(STANDARD)], message_id="m1", timestamp=int(time.time()), body=body)

    assert client.post("/hooks/in/desk", body, content_type="application/json").status_code == 401
    answer = client.post("/hooks/in/desk", body, content_type="application/json", headers=signed)
    assert (answer.status_code, Ticket.objects.get().closed_at) == (204, None)
