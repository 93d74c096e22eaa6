"""SMS: segments, Twilio's API with its errors and silences, its signature, and the fall to the next account."""

from typing import Any
from urllib.parse import parse_qs

import pytest

from apps.delivery.channels import falling
from apps.delivery.channels.contracts import Envelope
from apps.delivery.channels.errors import OutcomeUnknown, Unavailable, Withdrawn
from apps.delivery.channels.falling import sms_channel
from apps.delivery.channels.sms import sms_bytes
from apps.delivery.channels.twilio import Account, TwilioChannel, signature_is_right, wants_no_more
from apps.foundation.core.errors import PermanentError, RetryableError
from apps.foundation.core.gsm import segments_of
from config.providers import sms_providers_read
from tests.delivery.channels.test_esp import Provider, provider

__all__ = ["provider"]

SID = "AC" + "0a" * 16
TOKEN = "t0ps3cret-t0ps3cret"
OPTIONS = {"account_sid": SID, "auth_token": TOKEN, "from": "+43720123456"}
MESSAGE = "01930000-0000-7000-8000-000000000007"
TAKEN = (201, {"sid": "SM1", "status": "queued"})


def channel(provider: Provider, **options: str) -> TwilioChannel:
    account = Account.of({**OPTIONS, "api_url": provider.url, **options})
    return TwilioChannel(account, callback_url="https://t.example/hooks/sms/twilio/", timeout=1)


def envelope(text: str = "Grüße: 5 €", to: str = "+436601234567") -> Envelope:
    return Envelope("", to, text.encode(), key=MESSAGE)


@pytest.mark.parametrize(
    ("text", "encoding", "count"),
    [
        ("a" * 160, "GSM-7", 1),
        ("a" * 161, "GSM-7", 2),
        ("a" * 306, "GSM-7", 2),
        ("a" * 307, "GSM-7", 3),
        ("€" * 80, "GSM-7", 1),
        ("€" * 81, "GSM-7", 2),
        # the euro of two places does not fit into the last place of the first segment
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 3),
        ("ы" * 70, "UCS-2", 1),
        ("ы" * 71, "UCS-2", 2),
        ("😀" * 35, "UCS-2", 1),
        ("😀" * 36, "UCS-2", 2),
        ("a" * 66 + "😀" + "a" * 66, "UCS-2", 3),
        ("ö ç" + "’", "UCS-2", 1),
    ],
)
def test_segments_are_counted_as_they_are_paid_for(text: str, encoding: str, count: int) -> None:
    found = segments_of(text)
    assert (found.encoding, found.count) == (encoding, count)


def test_a_text_that_takes_too_many_segments_is_no_sms() -> None:
    assert sms_bytes("  Hi \r\n\r\n\r\n\r\nthere\n", most=1) == b"Hi\n\nthere"
    with pytest.raises(PermanentError, match="too_long 2 segments of GSM-7, and 1 are allowed"):
        sms_bytes("a" * 161, most=1)


def test_twilio_is_asked_as_it_wants_to_be(provider: Provider) -> None:
    provider.answer = TAKEN
    receipt = channel(provider).hand_over(envelope(), lambda: True)

    assert (receipt.code, receipt.response) == ("accepted", "SM1")
    path, headers, body = provider.asked[0]
    assert path == f"/2010-04-01/Accounts/{SID}/Messages.json"
    assert headers["authorization"].startswith("Basic ")
    assert parse_qs(body.decode()) == {
        "To": ["+436601234567"],
        "From": ["+43720123456"],
        "Body": ["Grüße: 5 €"],
        "StatusCallback": [f"https://t.example/hooks/sms/twilio/{MESSAGE}"],
    }
    channel(provider, **{"from": "MG" + "0b" * 16}).hand_over(envelope(), lambda: True)
    assert parse_qs(provider.asked[1][2].decode())["MessagingServiceSid"] == ["MG" + "0b" * 16]


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        ((400, {"code": 21610, "message": "unsubscribed"}), PermanentError, "opted_out"),
        ((400, {"code": 21211, "message": "'To' +436601234567 is no number"}), PermanentError, "invalid_address"),
        ((400, {"code": 21408, "message": "region"}), PermanentError, "21408"),
        ((400, {"code": 21606, "message": "From"}), Unavailable, "21606"),
        ((401, {"code": 20003}), Unavailable, "20003"),
        ((404, "no"), Unavailable, "404"),
        ((302, {}), Unavailable, "302"),
        ((429, {"code": 20429}), RetryableError, "20429"),
        ((400, {"code": 21611}), RetryableError, "21611"),
        ((503, {}), RetryableError, "503"),
        ((500, {}), OutcomeUnknown, "500"),
        ((201, {}), OutcomeUnknown, "201"),
        ("silent", OutcomeUnknown, "no answer"),
        ("drop", OutcomeUnknown, "no answer"),
    ],
)
def test_what_an_answer_means(provider: Provider, answer: Any, error: type[Exception], code: str) -> None:
    provider.answer = answer
    with pytest.raises(error) as caught:
        channel(provider).hand_over(envelope(), lambda: True)
    assert type(caught.value) is error
    assert caught.value.code == code  # type: ignore[attr-defined]
    assert "+436601234567" not in str(caught.value)


def test_the_sender_has_the_last_word_and_nobody_there_is_said(provider: Provider) -> None:
    one = channel(provider)
    with pytest.raises(Withdrawn):
        one.hand_over(envelope(), lambda: False)
    with pytest.raises(PermanentError, match="invalid_address"):
        one.hand_over(envelope(to="06601234567"), lambda: True)
    assert provider.asked == []
    with pytest.raises(Unavailable):
        channel(provider, api_url="http://127.0.0.1:1").hand_over(envelope(), lambda: True)


def test_an_account_that_fails_is_left_alone_and_the_next_takes_over(provider: Provider) -> None:
    falling._remembered.clear()
    provider.answer = TAKEN
    away, there = {**OPTIONS, "api_url": "http://127.0.0.1:1"}, {**OPTIONS, "api_url": provider.url}
    both = sms_channel([("twilio", away), ("second", there)], base_url="https://t.example/", timeout=1)

    assert both.hand_over(envelope(), lambda: True).response == "SM1"
    body = parse_qs(provider.asked[0][2].decode())
    assert body["StatusCallback"] == [f"https://t.example/hooks/sms/second/{MESSAGE}"]
    assert falling._remembered["sms:twilio"].pause == 2.0
    # what the second may have taken goes nowhere else, and three in a row open its breaker too
    provider.answer = "drop"
    for _ in range(3):
        with pytest.raises(OutcomeUnknown):
            both.hand_over(envelope(), lambda: True)
    with pytest.raises(Unavailable):
        both.hand_over(envelope(), lambda: True)
    assert len(provider.asked) == 4


def test_the_signature_is_twilios() -> None:
    # the example of Twilio's documentation («Webhooks security»), and its answer
    account = Account(SID, "12345", "+14158675310")
    form = {
        "CallSid": ["CA1234567890ABCDE"],
        "Caller": ["+12349013030"],
        "Digits": ["1234"],
        "From": ["+12349013030"],
        "To": ["+18005551212"],
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert signature_is_right(account, url=url, form=form, signature="0/KCTR6DLpKmkAf8muzZqo1nDgQ=")
    for other in ("", "0/KCTR6DLpKmkAf8muzZqo1nDgR=", "é"):
        assert not signature_is_right(account, url=url, form=form, signature=other)
    assert not signature_is_right(
        account, url=url, form={**form, "Digits": ["1"]}, signature="0/KCTR6DLpKmkAf8muzZqo1nDgQ="
    )


@pytest.mark.parametrize(
    ("form", "stops"),
    [
        ({"Body": ["STOP"]}, True),
        ({"Body": [" Stop. "]}, True),
        ({"Body": ["stop all"]}, True),
        ({"Body": ["Bitte weiter"], "OptOutType": ["STOP"]}, True),
        ({"Body": ["please don't stop"]}, False),
        ({"Body": ["START"], "OptOutType": ["START"]}, False),
        ({}, False),
    ],
)
def test_who_wants_no_more(form: dict[str, list[str]], stops: bool) -> None:
    assert wants_no_more(form) is stops


@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        ["twilio"],
        [{"provider": "other"}],
        [{"provider": "twilio", "name": "a/b"}],
        [{"provider": "twilio"}] * 2,
    ],
)
def test_providers_that_can_not_be_meant_stop_the_start(given: object) -> None:
    with pytest.raises(ValueError, match="SMS_PROVIDERS"):
        sms_providers_read(given)


@pytest.mark.parametrize("change", [{"account_sid": "x"}, {"auth_token": ""}, {"from": "0660"}, {"token": "x"}])
def test_an_account_that_can_not_be_meant_says_so_without_its_token(change: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="twilio") as caught:
        Account.of({**OPTIONS, **change})
    assert TOKEN not in str(caught.value)
