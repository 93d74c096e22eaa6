"""Messages by a webhook of one's own: signed, asked for again by the same id, and one provider among others."""

import json
import time
from base64 import b64decode
from typing import Any

import pytest

from apps.delivery.channels import falling
from apps.delivery.channels.contracts import Envelope
from apps.delivery.channels.errors import Unavailable, Withdrawn
from apps.delivery.channels.falling import mail_channel, sms_channel
from apps.delivery.channels.message_webhook import MessageWebhook
from apps.delivery.channels.standard_webhooks import secret_key, secret_text, webhook_verify
from apps.foundation.core.errors import PermanentError, RetryableError
from config.providers import sms_providers_read
from tests.delivery.channels.test_esp import Provider, provider
from tests.delivery.channels.test_sms import OPTIONS, TAKEN

__all__ = ["provider"]

SECRET = secret_text(b"s" * 32)
INSIDE = ("127.0.0.1",)
MESSAGE = "01930000-0000-7000-8000-000000000007"


def envelope() -> Envelope:
    return Envelope("b-x@returns.example", "+436601234567", "Grüße".encode(), key=MESSAGE)


def options(provider: Provider) -> dict[str, str]:
    return {"url": f"{provider.url}messages", "secret": SECRET}


def channel(provider: Provider, *, as_text: bool = True) -> MessageWebhook:
    return MessageWebhook(options(provider), as_text=as_text, inside=INSIDE, timeout=0.7)


def test_the_other_side_knows_who_speaks_and_which_message_it_is(provider: Provider) -> None:
    assert channel(provider).hand_over(envelope(), lambda: True).code == "accepted"

    path, headers, said = provider.asked[0]
    assert path == "/messages"
    assert said == {"type": "message.send", "id": MESSAGE, "to": "+436601234567", "text": "Grüße"}
    body = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
    assert webhook_verify(keys=[secret_key(SECRET)], headers=headers, body=body, at=time.time()) == MESSAGE
    channel(provider, as_text=False).hand_over(envelope(), lambda: True)
    mail = provider.asked[1][2]
    assert (b64decode(mail["mime"]).decode(), mail["sender"]) == ("Grüße", "b-x@returns.example")


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        ((401, {}), Unavailable, "401"),
        ((301, {}), Unavailable, "301"),
        ((429, {}), RetryableError, "429"),
        ((500, {}), RetryableError, "500"),
        ((410, {}), PermanentError, "invalid_address"),
        ((422, {}), PermanentError, "422"),
        ("silent", RetryableError, "timeout"),
        ("drop", RetryableError, "connection_lost"),
    ],
)
def test_what_an_answer_means(provider: Provider, answer: Any, error: type[Exception], code: str) -> None:
    provider.answer = answer
    with pytest.raises(error) as caught:
        channel(provider).hand_over(envelope(), lambda: True)
    assert (type(caught.value), caught.value.code) == (error, code)  # type: ignore[attr-defined]


def test_it_falls_to_the_next_and_takes_over_from_others(provider: Provider) -> None:
    falling._remembered.clear()
    provider.answer = TAKEN
    away = {"url": "http://127.0.0.1:1/", "secret": SECRET}
    twilio = {**OPTIONS, "api_url": provider.url}
    sms = sms_channel([("webhook", away), ("twilio", twilio)], base_url="https://t.example", inside=INSIDE, timeout=1)
    assert sms.hand_over(envelope(), lambda: True).response == "SM1"

    mail = mail_channel(
        [("smtp", {}), ("webhook", options(provider))],
        smtp_url="smtp://127.0.0.1:1?timeout=1",
        hostname="t.example",
        inside=INSIDE,
    )
    assert mail.hand_over(envelope(), lambda: True).response == "201"
    with pytest.raises(Withdrawn):
        channel(provider).hand_over(envelope(), lambda: False)
    assert len(provider.asked) == 2


@pytest.mark.parametrize("change", [{"url": "http://10.0.0.1/"}, {"secret": "t0ps3cret"}, {"x": "y"}, {"secret": 1}])
def test_one_that_can_not_be_meant_says_so_without_its_secret(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"webhook|secret") as caught:
        MessageWebhook({"url": "https://a.example/", "secret": SECRET, **change}, as_text=True)
    assert "t0ps3cret" not in str(caught.value)
    assert sms_providers_read([{"provider": "webhook", "url": "u", "secret": "s"}])[0][0] == "webhook"
