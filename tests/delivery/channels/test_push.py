"""Web Push: the RFC's own example, a push service that opens what it gets, and what its answers mean."""

import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

from apps.delivery.channels import push
from apps.delivery.channels.contracts import Envelope
from apps.delivery.channels.errors import Withdrawn
from apps.delivery.channels.push import PushChannel, push_bytes, subscription_read, subscription_text
from apps.delivery.channels.push_crypto import (
    MOST,
    Subscription,
    _derive,
    b64,
    encrypt,
    key_new,
    key_read,
    public_bytes,
    unb64,
)
from apps.foundation.core.errors import PermanentError, RetryableError

MESSAGE = "01930000-0000-7000-8000-000000000007"
KEY = key_new()
INSIDE = ("127.0.0.1",)


class Browser:
    """A browser with its keys, and the push service that it belongs to. status: the answer; "silent", "drop": none."""

    def __init__(self) -> None:
        self.status: int | str = 201
        self.shown: list[dict[str, Any]] = []
        self.heads: list[dict[str, str]] = []
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.auth = b"0123456789abcdef"
        device = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the library's name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                device.heads.append({name.lower(): value for name, value in self.headers.items()})
                if isinstance(device.status, str):
                    if device.status == "silent":
                        time.sleep(1.5)
                    self.close_connection = True
                    return
                if device.status < 300:
                    device.shown.append(json.loads(device.opened(body)))
                self.send_response(device.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=lambda: self.server.serve_forever(0.02), daemon=True).start()

    @property
    def subscription(self) -> str:
        keys = {"p256dh": b64(public_bytes(self.key)), "auth": b64(self.auth)}
        return json.dumps({"endpoint": f"{self.origin}/s/1", "keys": keys, "expirationTime": None})

    def opened(self, body: bytes) -> bytes:
        """What was sealed for this browser (RFC 8291, 3.4; RFC 8188, 2)."""
        salt, theirs, sealed = body[:16], body[21:86], body[86:]
        shared = self.key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs))
        secret = _derive(shared, self.auth, b"WebPush: info\0" + public_bytes(self.key) + theirs, 32)
        key = _derive(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
        plain = AESGCM(key).decrypt(_derive(secret, salt, b"Content-Encoding: nonce\0", 12), sealed, None)
        assert plain.endswith(b"\x02")
        return plain[:-1]


@pytest.fixture
def device() -> Iterator[Browser]:
    push._breakers.clear()
    one = Browser()
    yield one
    one.server.shutdown()
    one.server.server_close()


def channel(**more: Any) -> PushChannel:
    return PushChannel(key=KEY, contact="mailto:ops@shop.example", inside=INSIDE, timeout=0.7, **more)


def envelope(device: Browser, text: str = "Hello") -> Envelope:
    content = push_bytes(title="News", text=text, passed_over=(), message_id=MESSAGE)
    return Envelope("", device.subscription, content, key=MESSAGE)


def test_the_example_of_rfc_8291_comes_out_to_the_byte() -> None:
    to = Subscription(
        "https://push.example.net/push/x",
        unb64("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
        unb64("BTBZMqHH6r4Tts7J_aSIgg"),
    )
    body = encrypt(
        b"When I grow up, I want to be a watermelon",
        to,
        own=key_read("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"),
        salt=unb64("DGv6ra1nlYgDCS1FRnbzlw"),
    )
    assert b64(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
        "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )
    with pytest.raises(ValueError, match="too long"):
        encrypt(b"x" * (MOST + 1), to, own=key_read(KEY), salt=b"0" * 16)


def test_a_browser_reads_what_was_sent_and_its_push_service_knows_who_sent_it(device: Browser) -> None:
    receipt = channel().hand_over(envelope(device, "Grüße, Zoë: https://shop.example/new and more"), lambda: True)

    assert (receipt.code, receipt.response) == ("accepted", "201")
    assert device.shown == [{"title": "News", "body": "Grüße, Zoë:", "url": "https://shop.example/new", "tag": MESSAGE}]
    head = device.heads[0]
    assert (head["content-encoding"], head["ttl"], head["topic"]) == ("aes128gcm", "86400", MESSAGE.replace("-", ""))
    scheme, _, rest = head["authorization"].partition(" ")
    token, _, key = rest.removeprefix("t=").partition(", k=")
    assert (scheme, key) == ("vapid", b64(public_bytes(key_read(KEY))))
    header, claims, signature = token.split(".")
    said = json.loads(unb64(claims))
    assert (said["aud"], said["sub"]) == (device.origin, "mailto:ops@shop.example")
    assert 0 < said["exp"] - time.time() < 24 * 3600
    raw = unb64(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    key_read(KEY).public_key().verify(der, f"{header}.{claims}".encode(), ec.ECDSA(SHA256()))


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (404, RetryableError, "gone"),
        (410, RetryableError, "gone"),
        (403, PermanentError, "403"),
        (413, PermanentError, "413"),
        (301, PermanentError, "301"),
        (429, RetryableError, "429"),
        (500, RetryableError, "500"),
        ("silent", RetryableError, "timeout"),
        ("drop", RetryableError, "connection_lost"),
    ],
)
def test_what_an_answer_means(device: Browser, status: Any, error: type[Exception], code: str) -> None:
    device.status = status
    with pytest.raises(error) as caught:
        channel().hand_over(envelope(device), lambda: True)
    assert (type(caught.value), caught.value.code) == (error, code)  # type: ignore[attr-defined]
    assert device.origin not in str(caught.value)


def test_a_push_service_that_fails_is_left_alone_and_others_are_not(device: Browser) -> None:
    other = Browser()
    device.status = 503
    one = channel()
    with pytest.raises(RetryableError, match="503"):
        one.hand_over(envelope(device), lambda: True)
    with pytest.raises(RetryableError, match="service_away"):
        one.hand_over(envelope(device), lambda: True)
    assert len(device.heads) == 1
    assert one.hand_over(envelope(other), lambda: True).code == "accepted"
    other.server.shutdown()
    other.server.server_close()


def test_nothing_goes_inside_or_without_the_senders_word(device: Browser) -> None:
    with pytest.raises(Withdrawn):
        channel().hand_over(envelope(device), lambda: False)
    with pytest.raises(PermanentError, match="invalid_address"):
        PushChannel(key=KEY, contact="x").hand_over(envelope(device), lambda: True)
    assert device.heads == []
    assert subscription_text(device.subscription, inside=INSIDE) == subscription_text(
        device.subscription.replace(b64(device.auth), urlsafe_b64encode(device.auth).decode()), inside=INSIDE
    )
    with pytest.raises(ValueError, match="not encrypted"):
        subscription_text(device.subscription)


@pytest.mark.parametrize(
    "value", ["", "[]", "{}", '{"endpoint": 1, "keys": []}', "[" * 100_000, '{"endpoint":"https://a.b","keys":{}}']
)
def test_what_is_no_subscription_says_so(value: str) -> None:
    with pytest.raises(ValueError, match="not a subscription"):
        subscription_read(value)


def test_a_notification_is_short_and_its_link_is_content() -> None:
    away = "https://t.example/u/x"
    text = "word " * 200 + f"\n\nLeave: {away}\nhttps://shop.example/new."
    said = json.loads(push_bytes(title="T", text=text, passed_over=[away], message_id=MESSAGE))

    assert said["url"] == "https://shop.example/new"
    assert (len(said["body"]), said["body"][-5:]) == (495, "word…")
    said = json.loads(push_bytes(title="T", text=f"Hi. Leave: {away}", passed_over=[away], message_id=MESSAGE))
    assert (said["body"], said["url"]) == ("Hi. Leave:", "")
    with pytest.raises(PermanentError, match="too_long"):
        push_bytes(title="é" * 2_000, text="x", passed_over=(), message_id=MESSAGE)
