"""One hand-over after the other, against a real server that misbehaves as told."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from apps.delivery.channels import smtp_line
from apps.delivery.channels.contracts import Envelope
from apps.delivery.channels.errors import OutcomeUnknown, Unavailable, Withdrawn
from apps.delivery.channels.smtp import SmtpChannel, relay_parse
from apps.foundation.core.errors import PermanentError, ProviderError, RetryableError
from tests.delivery.relay import Relay

CONTENT = b"Message-ID: <%d@shop.example>\r\nSubject: x\r\n\r\n.\r\n..two\r\n.one\r\nend\r\n"


def envelope(recipient: str = "customer@example.com", number: int = 1) -> Envelope:
    """Something to hand over."""
    return Envelope(sender="news@shop.example", recipient=recipient, content=CONTENT % number)


@pytest.fixture
def channel(relay: Relay) -> Iterator[SmtpChannel]:
    one = SmtpChannel(relay_parse(f"smtp://127.0.0.1:{relay.port}?timeout=2"), hostname="test.example")
    yield one
    one.close()


def yes() -> bool:
    return True


class Told:
    """A caller with many messages, who notes what it is told. ends: asked before each end."""

    def __init__(self, *recipients: str, ends: Callable[[str], bool] = lambda recipient: True) -> None:
        self.waiting = [envelope(recipient, number) for number, recipient in enumerate(recipients)]
        self.ends = ends
        self.outcomes: dict[str, object] = {}

    def next(self) -> Envelope | None:
        return self.waiting.pop(0) if self.waiting else None

    def may_end(self, one: Envelope) -> bool:
        return self.ends(one.recipient)

    def done(self, one: Envelope, outcome: object) -> None:
        assert one.recipient not in self.outcomes, "told twice"
        self.outcomes[one.recipient] = getattr(outcome, "code", type(outcome).__name__)


@pytest.mark.parametrize("extensions", [("250-PIPELINING",), ()])
def test_many_messages_share_some_connections_and_each_is_told_its_own_outcome(
    relay: Relay, extensions: tuple[str, ...]
) -> None:
    # given a relay that treats some badly, and an address that none takes
    relay.extensions = extensions
    plans = {
        "later": "451 4.2.1 later",
        "unknown": "550 5.1.1 unknown",
        "full": "data 452 4.3.1 full",
        "refused": "data 554 5.7.1 no",
        "lost": "lose after",
        "dropped": "drop at data",
    }
    relay.plan = lambda recipient: plans.get(recipient.partition("@")[0], "ok")
    people = [f"customer-{number}@example.com" for number in range(60)]
    for at, name in enumerate((*plans, "no body", "withdrawn")):
        people.insert(at * 7 + 3, f"{name}@example.com")
    caller = Told(*people, ends=lambda recipient: not recipient.startswith("withdrawn"))
    channel = SmtpChannel(relay_parse(f"smtp://127.0.0.1:{relay.port}?timeout=5&connections=3&messages=25"))
    # when all are handed over
    channel.open(len(people))
    channel.hand_over_all(caller)
    channel.close()
    # then each has its outcome, and everybody else their message, once, as it was
    expected = dict.fromkeys(people, "250") | {
        "later@example.com": "451",
        "unknown@example.com": "550",
        "full@example.com": "452",
        "refused@example.com": "554",
        "lost@example.com": "no answer",
        "dropped@example.com": "dropped",
        "no body@example.com": "invalid_address",
        "withdrawn@example.com": "Withdrawn",
    }
    assert caller.outcomes == expected
    assert relay.recipients() == {recipient: 1 for recipient, code in expected.items() if code == "250"}
    assert all(one.content == CONTENT % people.index(one.recipient) for one in relay.accepted)


def test_the_next_message_begins_in_the_packet_of_an_end_and_its_content_waits_for_the_answer() -> None:
    packets: list[bytes] = []

    def script(connection: socket.socket) -> None:
        connection.sendall(b"220 hi\r\n")
        for answer in (b"250-hi\r\n250 PIPELINING\r\n", b"250 ok\r\n250 ok\r\n354 go\r\n"):
            connection.recv(1000)
            connection.sendall(answer)
        content = connection.recv(1000)
        while b"\r\n.\r\n" not in content:
            content += connection.recv(1000)
        packets.append(content.rpartition(b"end\r\n")[2])
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1000)  # not a byte more before the answer to the end
        connection.sendall(b"250 taken\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        packets.append(connection.recv(1000))  # and leaves with the second message in its content

    caller = Told("first@example.com", "second@example.com")
    channel = SmtpChannel(relay_parse(f"smtp://127.0.0.1:{served_by(script)}?timeout=5&connections=1"))
    channel.hand_over_all(caller)
    assert packets[0] == (b".\r\nMAIL FROM:<news@shop.example>\r\nRCPT TO:<second@example.com>\r\nDATA\r\n")
    assert caller.outcomes["first@example.com"] == "250"
    assert caller.outcomes["second@example.com"] in ("dropped", "no answer")


@pytest.mark.parametrize("at_once", [65_536, 5])
@pytest.mark.parametrize(
    ("answers", "outcomes"),
    [
        (b"250 taken\r\n250 ok\r\n250 ok\r\n354 go\r\n", ("250 taken", "250 last")),
        (b"250 \r\n250 \r\n250 \r\n354 \r\n", ("250 ", "250 last")),
        (b"250-taken\r\n250 as 17\r\n250 ok\r\n250 ok\r\n354 go\r\n", ("250 taken as 17", "250 last")),
        (b"250-taken\r\n250-as\r\n250 17\r\n250 ok\r\n251 ok\r\n354-go\r\n354 on\r\n", ("250 taken as 17", "250 last")),
        (b"451 later\r\n250 ok\r\n250 ok\r\n354 go\r\n", ("451 later", "250 last")),
        (b"554 no\r\n250 ok\r\n250 ok\r\n354 go\r\n", ("554 no", "250 last")),
        (b"250 taken\r\n250 ok\r\n550 who\r\n503 no\r\n", ("250 taken", "550 who")),
        (b"250 taken\r\n250 ok\r\n250 ok\r\n451 later\r\n", ("250 taken", "451 later")),
    ],
)
def test_answers_are_told_apart_however_they_come(
    monkeypatch: pytest.MonkeyPatch, at_once: int, answers: bytes, outcomes: tuple[str, str]
) -> None:
    """at_once: so many bytes of them are read at a time."""
    monkeypatch.setattr(smtp_line, "_CHUNK", at_once)
    told: list[str] = []

    class Caller(Told):
        def done(self, one: Envelope, outcome: object) -> None:
            code, words = getattr(outcome, "code", ""), getattr(outcome, "response", None)
            told.append(f"{code} {getattr(outcome, 'message', '') if words is None else words}")

    def script(connection: socket.socket) -> None:
        connection.sendall(b"220 hi\r\n")
        for answer in (b"250-hi\r\n250 PIPELINING\r\n", b"250 ok\r\n250 ok\r\n354 go\r\n"):
            connection.recv(1000)
            connection.sendall(answer)
        for answer in (answers, b"250 last\r\n"):
            heard = b""
            while b"\r\n.\r\n" not in heard and not heard.startswith(b"RSET"):
                heard += connection.recv(1000)
            connection.sendall(answer)
        connection.recv(1000)

    caller = Caller("first@example.com", "second@example.com")
    channel = SmtpChannel(relay_parse(f"smtp://127.0.0.1:{served_by(script)}?timeout=5&connections=1"))
    channel.hand_over_all(caller)
    channel.close()
    assert tuple(told) == outcomes


def test_an_error_of_the_caller_loses_no_answer_that_was_awaited(relay: Relay) -> None:
    # given four messages under way at once, and a caller that fails at the end of the fourth
    relay.plan = lambda recipient: "ok" if recipient.startswith("bad") else "slow 0.3"

    def ends(recipient: str) -> bool:
        if recipient.startswith("bad"):
            raise RuntimeError
        return True

    good = [f"customer-{number}@example.com" for number in range(3)]
    caller = Told(*good, "bad@example.com", "after@example.com", ends=ends)
    channel = SmtpChannel(relay_parse(f"smtp://127.0.0.1:{relay.port}?timeout=5&connections=4"))
    channel.open(20)
    with pytest.raises(RuntimeError):
        channel.hand_over_all(caller)
    # then the three are told, and nothing else went out
    assert caller.outcomes.pop("after@example.com", "Withdrawn") == "Withdrawn"
    assert caller.outcomes == dict.fromkeys(good, "250")
    assert sorted(relay.recipients()) == good


@pytest.mark.parametrize("extensions", [("250-PIPELINING",), ()])
def test_messages_go_over_one_connection_byte_for_byte(
    relay: Relay, channel: SmtpChannel, extensions: tuple[str, ...]
) -> None:
    relay.extensions = extensions
    for number in range(20):
        assert channel.hand_over(envelope(number=number), yes).code == "250"
    assert [one.content for one in relay.accepted] == [CONTENT % number for number in range(20)]
    assert relay.connections == 1 + 1  # the fixture's controller looks whether it is there, once


@pytest.mark.parametrize(
    ("what", "kind", "code"),
    [
        ("451 4.2.1 later", RetryableError, "451"),
        ("550 5.1.1 unknown", PermanentError, "550"),
        ("data 452 4.3.1 full", RetryableError, "452"),
        ("data 554 5.7.1 no", PermanentError, "554"),
        ("421", Unavailable, "421"),
        ("drop at data", Unavailable, "dropped"),
        ("lose after", OutcomeUnknown, "no answer"),
        ("drop after", OutcomeUnknown, "no answer"),
        ("stall", OutcomeUnknown, "no answer"),
    ],
)
def test_each_fault_is_told_apart_and_the_next_message_goes(
    relay: Relay, channel: SmtpChannel, what: str, kind: type[ProviderError], code: str
) -> None:
    relay.plan = lambda recipient: what if recipient.startswith("bad") else "ok"
    with pytest.raises(kind) as caught:
        channel.hand_over(envelope("bad@example.com"), yes)
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert channel.hand_over(envelope(number=2), yes).code == "250"
    assert relay.accepted[-1].message_id == "2"
    assert relay.ids()["1"] == (1 if what == "drop after" else 0)


def test_what_is_taken_back_before_its_end_does_not_arrive(relay: Relay, channel: SmtpChannel) -> None:
    with pytest.raises(Withdrawn):
        channel.hand_over(envelope(), lambda: False)
    assert channel.hand_over(envelope(number=2), yes).code == "250"
    assert list(relay.ids()) == ["2"]


def test_an_error_of_the_caller_does_not_end_the_message(relay: Relay, channel: SmtpChannel) -> None:
    def breaks() -> bool:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        channel.hand_over(envelope(), breaks)
    channel.hand_over(envelope(number=2), yes)
    assert list(relay.ids()) == ["2"]


def test_a_relay_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        channel = SmtpChannel(relay_parse(f"smtp://127.0.0.1:{taken.getsockname()[1]}?timeout=1"))
        with pytest.raises(Unavailable):
            channel.open()


def served_by(script: Callable[[socket.socket], None]) -> int:
    """A server of one connection that does what the script says. Returns its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with server, server.accept()[0] as connection:
            script(connection)

    threading.Thread(target=serve, daemon=True).start()
    return int(server.getsockname()[1])


def test_a_connection_that_ends_within_the_content_is_no_unknown_outcome() -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(b"220 hi\r\n")
        for answer in (b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            connection.recv(1000)
            connection.sendall(answer)
        connection.recv(10)  # and leaves, with megabytes under way

    channel = SmtpChannel(relay_parse(f"smtp://127.0.0.1:{served_by(script)}?timeout=5"))
    big = Envelope("news@shop.example", "customer@example.com", b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n" * 8_000_000)
    asked: list[bool] = []

    def ask() -> bool:
        asked.append(True)
        return True

    with pytest.raises(RetryableError) as caught:
        channel.hand_over(big, ask)
    assert (type(caught.value), caught.value.code, asked) == (RetryableError, "dropped", [])


def test_a_relay_that_speaks_before_the_end_did_not_take_it() -> None:
    said = threading.Event()

    def script(connection: socket.socket) -> None:
        connection.sendall(b"220 hi\r\n")
        for answer in (b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n"):
            connection.recv(1000)
            connection.sendall(answer)
        connection.recv(1000)
        connection.sendall(b"354 go\r\n")
        connection.recv(1000)
        connection.sendall(b"421 shutting down\r\n")
        said.set()

    channel = SmtpChannel(relay_parse(f"smtp://127.0.0.1:{served_by(script)}?timeout=5"))
    with pytest.raises(RetryableError) as caught:
        # too slow to be told before its end; the answer is still a refusal, not an unknown outcome
        channel.hand_over(envelope(), lambda: said.wait(5))
    assert caught.value.code == "421"


def test_an_address_beyond_ascii_needs_a_relay_that_takes_it(relay: Relay, channel: SmtpChannel) -> None:
    assert channel.hand_over(envelope("jürgen@example.com"), yes).code == "250"
    assert relay.accepted[0].recipient == "jürgen@example.com"

    def script(connection: socket.socket) -> None:
        connection.sendall(b"220 hi\r\n")
        connection.recv(1000)
        connection.sendall(b"250 hi\r\n")
        connection.recv(1000)

    plain = SmtpChannel(relay_parse(f"smtp://127.0.0.1:{served_by(script)}?timeout=5"))
    with pytest.raises(PermanentError) as caught:
        plain.hand_over(envelope("jürgen@example.com"), yes)
    assert caught.value.code == "invalid_address"


def test_an_address_can_not_add_commands(relay: Relay, channel: SmtpChannel) -> None:
    with pytest.raises(PermanentError):
        channel.hand_over(envelope("a@example.com>\r\nRCPT TO:<b@example.com"), yes)
    assert relay.accepted == []


@pytest.mark.parametrize(
    ("url", "port", "tls", "starttls"),
    [
        ("smtp://relay.example", 25, False, "offered"),
        ("smtp://me:p%40ss@relay.example:587", 587, False, "required"),
        ("smtp://me:pass@127.0.0.1:2525", 2525, False, "offered"),
        ("smtps://relay.example", 465, True, "offered"),
        ("smtp://relay.example?starttls=never", 25, False, "never"),
    ],
)
def test_relays_are_given_as_addresses(url: str, port: int, tls: bool, starttls: str) -> None:
    relay = relay_parse(url)
    assert (relay.port, relay.tls, relay.starttls) == (port, tls, starttls)
    if "p%40ss" in url:
        assert relay.password == "p@ss"


@pytest.mark.parametrize(
    "url",
    [
        "http://x",
        "smtp://",
        "smtp://x?starttls=maybe",
        "smtp://x?color=red",
        "smtp://x?connections=0",
        "smtp://x?messages=-1",
    ],
)
def test_a_wrong_relay_says_so_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="SMTP_URL"):
        relay_parse(url)


def test_tls_that_is_required_and_not_offered_sends_no_password(relay: Relay) -> None:
    url = f"smtp://me:secret@127.0.0.1:{relay.port}?timeout=2&starttls=required"
    with pytest.raises(Unavailable) as caught:
        SmtpChannel(relay_parse(url)).open()
    assert caught.value.code == "tls"
