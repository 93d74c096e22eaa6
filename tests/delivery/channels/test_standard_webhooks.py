"""Standard Webhooks 1.0.0."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.delivery.channels.standard_webhooks import (
    BadSignature,
    headers_signed,
    secret_key,
    secret_text,
    webhook_verify,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
OTHER = bytes(32)


def signed(*keys: bytes, at: int = AT) -> dict[str, str]:
    return headers_signed(keys=keys, message_id=ID, timestamp=at, body=BODY)


def test_the_published_vector() -> None:
    assert signed(secret_key(SECRET)) == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_while_a_secret_changes_both_verify() -> None:
    new, old = secret_key(SECRET), OTHER
    headers = signed(new, old)

    assert headers["webhook-signature"].count("v1,") == 2
    for key in (new, old):
        assert webhook_verify(keys=[key], headers=headers, body=BODY, at=AT) == ID
    with pytest.raises(BadSignature):
        webhook_verify(keys=[b"\1" * 32], headers=headers, body=BODY, at=AT)


@pytest.mark.parametrize(
    ("change", "body", "at"),
    [
        ({}, BODY + b" ", AT),
        ({"webhook-id": "msg_other"}, BODY, AT),
        ({"webhook-timestamp": str(AT + 1)}, BODY, AT),
        ({"webhook-timestamp": "-1"}, BODY, AT),
        ({"webhook-timestamp": "²"}, BODY, AT),
        ({"webhook-timestamp": "9" * 400}, BODY, AT),
        ({"webhook-signature": ""}, BODY, AT),
        ({"webhook-signature": "v1,AAAA"}, BODY, AT),
        ({"webhook-signature": "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}, BODY, AT),
        ({"webhook-signature": "v1,é"}, BODY, AT),
        ({}, BODY, AT + 301),
        ({}, BODY, AT - 301),
    ],
)
def test_what_is_not_as_signed_is_refused(change: dict[str, str], body: bytes, at: int) -> None:
    key = secret_key(SECRET)

    with pytest.raises(BadSignature):
        webhook_verify(keys=[key], headers={**signed(key), **change}, body=body, at=at)


def test_header_names_are_read_in_any_case() -> None:
    key = secret_key(SECRET)
    headers = {name.title(): value for name, value in signed(key).items()}

    assert webhook_verify(keys=[key], headers=headers, body=BODY, at=AT + 300) == ID


@given(st.binary(min_size=24, max_size=64))
def test_a_secret_is_read_as_it_was_written(key: bytes) -> None:
    assert secret_key(secret_text(key)) == key


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_MfKQ", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "nö"])
def test_what_is_no_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="secret"):
        secret_key(secret)
