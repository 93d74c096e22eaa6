"""Where a webhook may go, and what comes of it."""

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from apps.delivery.channels import webhook
from apps.delivery.channels.webhook import webhook_post
from apps.foundation.core.outward import AddressRefused, addresses_public, target_read
from tests.delivery.webhooks.receiver import Receiver

INSIDE = ["127.0.0.1"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    server = one.start()
    yield one
    server.shutdown()
    server.server_close()


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Every name has these addresses. Returns the names asked for."""
    asked: list[str] = []

    def answer(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET6 if ":" in one else socket.AF_INET, 1, 6, "", (one, port)) for one in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return asked


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/hook",
        "ftp://shop.example/",
        "https://",
        "https:///x",
        "shop.example/hook",
        "https://user@shop.example/",
        "https://user:word@shop.example/",
        "https://shop.example/#x",
        "https://shop.example:99999/",
        "https://shop.example/a b",
        "https://shop.example/\r\nHost: other",
        "https://shöp.example/",
        "https://[::1/",
        "https://shop.example/" + "x" * 500,
        "",
    ],
)
def test_what_is_no_address_for_webhooks_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        target_read(url)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",  # noqa: S104
        "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:10.0.0.1",
        "::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::a00:1", "2001:db8::1",
    ],
)  # fmt: skip
def test_private_addresses_are_refused_also_behind_a_public_one(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "93.184.215.14", address)

    with pytest.raises(AddressRefused, match="private"):
        addresses_public(target_read("https://shop.example/hook"))
    assert webhook_post("https://shop.example/hook", body=b"{}", headers={}).error == "address_refused"


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "017700000001", "localhost", "127.1"])
def test_other_spellings_of_this_machine_are_refused(host: str) -> None:
    """What the resolver makes of them is looked at, not how they are written."""
    assert webhook_post(f"https://{host}/hook", body=b"{}", headers={}).error in ("address_refused", "name_not_found")


def test_the_checked_address_is_the_one_connected_to(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is resolved once: what it would answer a second time doesn't matter."""
    asked = resolving(monkeypatch, "127.0.0.1")

    answer = webhook_post(f"http://shop.example:{receiver.port}/hook", body=b"{}", headers={}, inside=["shop.example"])

    assert answer.taken
    assert asked == ["shop.example", "127.0.0.1"], "looked up once; after that the address itself"
    assert receiver.received[0].headers["Host"] == f"shop.example:{receiver.port}"


def test_a_post_arrives_as_it_was_given(receiver: Receiver) -> None:
    answer = webhook_post(f"{receiver.url}?a=1", body=b'{"x":1}', headers={"webhook-id": "msg_1"}, inside=INSIDE)

    assert (answer.status, answer.error, answer.taken) == (204, "", True)
    one = receiver.received[0]
    assert (one.path, one.body, one.headers["webhook-id"]) == ("/hook?a=1", b'{"x":1}', "msg_1")
    assert one.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "error"), [(301, "redirect"), (307, "redirect"), (400, "refused"), (410, "refused"), (503, "refused")]
)
def test_answers_that_are_no_success(receiver: Receiver, status: int, error: str) -> None:
    receiver.answer = lambda one: status
    receiver.more = {"Location": receiver.url + "/other"}

    answer = webhook_post(receiver.url, body=b"{}", headers={}, inside=INSIDE)

    assert (answer.status, answer.error, answer.taken) == (status, error, False)
    assert len(receiver.received) == 1, "a redirect was followed"


def test_a_receiver_that_hangs_up(receiver: Receiver) -> None:
    receiver.answer = lambda one: 0

    assert webhook_post(receiver.url, body=b"{}", headers={}, inside=INSIDE).error == "connection_lost"


def test_a_receiver_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"

        assert webhook_post(url, body=b"{}", headers={}, inside=INSIDE, timeout=0.2).error == "timeout"


def test_nobody_there_and_no_such_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]

    assert webhook_post(f"http://127.0.0.1:{port}/", body=b"{}", headers={}, inside=INSIDE).error == "not_connected"
    assert webhook_post("https://nobody.invalid/", body=b"{}", headers={}).error == "name_not_found"


@pytest.fixture
def self_signed(tmp_path: Path) -> Iterator[int]:
    """The port of a TLS server whose certificate nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    at = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(at - timedelta(days=1))
        .not_valid_after(at + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "both.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            connection, _ = listener.accept()
            with connection:
                context.wrap_socket(connection, server_side=True).close()
        except OSError:
            return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.close()
    thread.join(2)


def test_a_certificate_that_nobody_vouches_for_is_refused(self_signed: int) -> None:
    answer = webhook_post(f"https://localhost:{self_signed}/", body=b"{}", headers={}, inside=["localhost"])

    assert answer.error == "tls"


def test_a_time_out_is_bounded() -> None:
    assert webhook.TIMEOUT_SECONDS <= 15
