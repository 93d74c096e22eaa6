"""Mail providers' APIs, each spoken to as it speaks, with its errors and its silences."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import pytest

from apps.delivery.channels.contracts import Envelope
from apps.delivery.channels.errors import OutcomeUnknown, Unavailable, Withdrawn
from apps.delivery.channels.esp import PROVIDERS, EspChannel
from apps.delivery.channels.mime import Letter, letter_bytes
from apps.foundation.core.errors import PermanentError, RetryableError

MESSAGE_ID = UUID(int=7)
INACTIVE = (
    "You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: a@b.example. "
    "Inactive recipients are ones that have generated a hard bounce or a spam complaint."
)


class Provider:
    """An API on this machine. answer: status and body for a request; `silent`, `drop`: no answer, and no connection."""

    def __init__(self) -> None:
        self.answer: tuple[int, Any] | str = (200, {})
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the library's name
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                try:
                    said = json.loads(body)
                except ValueError:
                    said = body
                provider.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, said))
                if isinstance(provider.answer, str):
                    if provider.answer == "silent":
                        time.sleep(1.5)
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                status, answer = provider.answer
                answer = answer(said) if callable(answer) else answer
                raw = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=lambda: self.server.serve_forever(0.02), daemon=True).start()


@pytest.fixture
def provider() -> Iterator[Provider]:
    one = Provider()
    yield one
    one.server.shutdown()
    one.server.server_close()


GOOD: dict[str, tuple[dict[str, str], Any, str]] = {
    "postmark": (
        {"server_token": "t"},
        {"ErrorCode": 0, "Message": "OK", "MessageID": "p1", "To": "a@b.example"},
        "p1",
    ),
    "sendgrid": ({"api_key": "t", "generate_message_id": ""}, {}, ""),
    "mailjet": (
        {"api_key": "k", "secret_key": "s"},
        {"Messages": [{"Status": "success", "To": [{"Email": "a@b.example", "MessageID": 12, "MessageUUID": "u"}]}]},
        "12",
    ),
    "resend": ({"api_key": "t"}, {"id": "r1"}, "r1"),
    "brevo": ({"api_key": "t"}, {"messageId": "<b1@x>"}, "<b1@x>"),
}


def channel(provider: Provider, name: str = "postmark", timeout: float = 5) -> EspChannel:
    return EspChannel(name, {**GOOD[name][0], "api_url": provider.url}, timeout=timeout)


def envelope(**fields: Any) -> Envelope:
    values: dict[str, Any] = {
        "message_id": MESSAGE_ID,
        "from_name": "The Shop",
        "from_email": "news@shop.example",
        "reply_to": "help@shop.example",
        "to": "a@b.example",
        "subject": "Grüße für Zoë",
        "text": "Hello\n",
        "html": "<p>Hello Zoë</p>",
        "dated_at": datetime(2026, 11, 28, tzinfo=UTC),
        "unsubscribe_url": "https://links.example/u/k1.x",
        "list_label": "marketing",
    }
    return Envelope("b-x@returns.shop.example", "a@b.example", letter_bytes(Letter(**{**values, **fields})))


def yes() -> bool:
    return True


@pytest.mark.parametrize("name", list(GOOD))
def test_a_message_is_taken_with_all_it_has(provider: Provider, name: str) -> None:
    provider.answer = (200, GOOD[name][1])
    receipt = channel(provider, name).hand_over(envelope(), yes)

    assert receipt.code == "accepted"
    assert receipt.response == GOOD[name][2]
    ((_, headers, said),) = provider.asked
    text = json.dumps(said, ensure_ascii=False)
    for part in (
        "Grüße für Zoë", "<p>Hello Zoë</p>", "news@shop.example", "help@shop.example", "a@b.example",
        "List-Unsubscribe=One-Click", "https://links.example/u/k1.x", str(MESSAGE_ID),
    ):  # fmt: skip
        assert part in text, (name, part)
    assert "returns.shop.example" not in text
    assert headers.get("idempotency-key") == (str(MESSAGE_ID) if name == "resend" else None)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((401, {"Message": "bad token"}), Unavailable),
        ((403, {}), Unavailable),
        ((404, {}), Unavailable),
        ((429, {}), RetryableError),
        ((503, {}), RetryableError),
        ((400, {"Message": "bad"}), PermanentError),
        ((413, {}), PermanentError),
        ((422, {"ErrorCode": 406, "Message": "words that nobody foresaw"}), OutcomeUnknown),
        ((500, {}), OutcomeUnknown),
        ((502, {}), OutcomeUnknown),
        ((504, {}), OutcomeUnknown),
        ("drop", OutcomeUnknown),
        ("silent", OutcomeUnknown),
        ((422, {"ErrorCode": 406, "Message": INACTIVE}), PermanentError),
        ((422, {"ErrorCode": 300, "Message": "Invalid 'To' address: 'a@b.example'."}), PermanentError),
    ],
    ids=str,
)
def test_what_comes_of_it(provider: Provider, answer: Any, error: type[Exception]) -> None:
    provider.answer = answer
    with pytest.raises(error) as caught:
        channel(provider, timeout=0.5).hand_over(envelope(), yes)
    assert type(caught.value) is error
    assert "a@b.example" not in str(caught.value)


@pytest.mark.parametrize("answer", ["drop", "silent", (500, {}), (502, {})], ids=str)
def test_who_knows_a_message_again_is_asked_again(provider: Provider, answer: Any) -> None:
    provider.answer = answer
    one = channel(provider, "resend", timeout=0.5)
    with pytest.raises(RetryableError):
        one.hand_over(envelope(), yes)
    provider.answer = (200, GOOD["resend"][1])
    one.hand_over(envelope(), yes)
    keys = {headers["idempotency-key"] for _, headers, _ in provider.asked}
    assert keys == {str(MESSAGE_ID)}


def test_who_is_away_has_taken_nothing(provider: Provider) -> None:
    one = channel(provider)
    provider.server.shutdown()
    provider.server.server_close()
    with pytest.raises(Unavailable):
        one.hand_over(envelope(), yes)
    with pytest.raises(Unavailable):
        EspChannel("postmark", {"server_token": "t", "api_url": "http://nowhere.invalid/"}).hand_over(envelope(), yes)


def test_the_last_word_is_the_callers(provider: Provider) -> None:
    with pytest.raises(Withdrawn):
        channel(provider).hand_over(envelope(), lambda: False)
    assert provider.asked == []


def test_it_is_asked_when_everything_else_is_done(provider: Provider) -> None:
    asked_before: list[int] = []
    provider.answer = (200, GOOD["postmark"][1])

    def note() -> bool:
        asked_before.append(len(provider.asked))
        return True

    channel(provider).hand_over(envelope(), note)
    assert asked_before == [0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: EspChannel("carrier-pigeon", {}),
        lambda: EspChannel("postmark", {}),
    ],
)
def test_what_is_set_up_wrong_says_so(make: Callable[[], EspChannel]) -> None:
    with pytest.raises(ValueError, match=r"provider|postmark"):
        make()


def test_every_provider_is_one_of_anymails() -> None:
    assert "postmark" in PROVIDERS
    for name in PROVIDERS:
        with pytest.raises(ValueError, match=name):
            EspChannel(name, {})  # it says what it lacks
