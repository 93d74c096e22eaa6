"""One connection to a relay: opened by `smtplib`, then driven step by step without ever waiting (RFC 5321, RFC 2920).

A message's way: MAIL, RCPT and DATA in one packet; the content without its last line; the caller's word
(`Hand.may_end`); the dot. Where the relay offers PIPELINING, the next message's MAIL, RCPT and DATA go in the packet of
the dot: one round trip for both. Answers come in the order of the commands, so the one after the dot is known before
the next message's content may go: at any moment at most one message of a connection has an outcome that nobody knows.
"""

import re
import select
import smtplib
import socket
import ssl
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from apps.foundation.core.errors import PermanentError, ProviderError, RetryableError
from apps.foundation.core.masking import addresses_mask

from .addresses import INVALID, address_for_wire
from .contracts import Envelope, Outcome, Receipt
from .errors import OutcomeUnknown, Unavailable, Withdrawn

# RFC 5321, 4.5.3.2: how long to wait for each answer, in seconds
WAIT_GREETING: Final = 300.0
WAIT_END: Final = 600.0
_WAIT_BLOCK: Final = 180.0
_WAITS: Final = {"MAIL": 300.0, "RCPT": 300.0, "DATA": 120.0, "END": WAIT_END, "RSET": 300.0}
_LINE_MAX: Final = 8192
_REPLY_LINES_MAX: Final = 100
_CHUNK: Final = 65_536
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_USUAL = re.compile(rb"(2\d\d) ([^\r\n]*)\r\n2\d\d [^\r\n]*\r\n2\d\d [^\r\n]*\r\n354 [^\r\n]*\r\n")
"""Answers to a dot and the envelope behind it, in one packet: the message is taken, and the next content may come."""
_LATER: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(frozen=True, slots=True)
class SmtpRelay:
    """Where the mail goes, and how.

    starttls: `required` (verified), `offered` (taken where offered, unverified: RFC 7435) or `never`;
    timeout: no wait is longer than this, in seconds; connections: at once, for each process; messages: over one
    connection, 0 for any number.
    """

    host: str
    port: int
    tls: bool
    starttls: str
    user: str
    password: str
    timeout: float
    connections: int = 4
    messages: int = 0


_sender_for_wire = lru_cache(maxsize=64)(address_for_wire)  # one has thousands of messages


class Hand(Protocol):
    """What a connection asks and tells about the messages that it carries."""

    def may_end(self, envelope: Envelope) -> bool:
        """The last word: after True it can't be taken back."""

    def done(self, envelope: Envelope, outcome: Outcome) -> None:
        """What came of a message."""

    def follow(self, line: "Line") -> None:
        """The next message may begin behind the end of another one."""


def readable(text: bytes | str, *addresses: str) -> str:
    """An answer as one line of text, at most 400 characters, without these addresses: relays repeat them."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return addresses_mask(_CONTROL.sub(" ", text).strip(), *addresses)[:400]


def _connected(relay: SmtpRelay, hostname: str) -> smtplib.SMTP:
    """Connect, greet, start TLS, log in. Raises Unavailable."""
    wait = min(WAIT_GREETING, relay.timeout)
    smtp: smtplib.SMTP | None = None
    try:
        if relay.tls:
            context = _tls_context(verified=True)
            smtp = smtplib.SMTP_SSL(relay.host, relay.port, hostname, timeout=wait, context=context)
        else:
            smtp = smtplib.SMTP(relay.host, relay.port, hostname, timeout=wait)
        smtp.ehlo_or_helo_if_needed()
        if not relay.tls and relay.starttls != "never":
            if smtp.has_extn("starttls"):
                smtp.starttls(context=_tls_context(verified=relay.starttls == "required"))
                smtp.ehlo_or_helo_if_needed()
            elif relay.starttls == "required":
                raise Unavailable("tls", "the relay offers no STARTTLS, and it is required")
        if relay.user:
            smtp.login(relay.user, relay.password)
        assert smtp.sock is not None  # noqa: S101  # connected
        smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the dot must not wait for an ACK
    except Unavailable:
        if smtp is not None:
            smtp.close()
        raise
    except (OSError, smtplib.SMTPException) as error:
        if smtp is not None:
            smtp.close()
        if isinstance(error, smtplib.SMTPResponseException):
            raise Unavailable(str(error.smtp_code), readable(error.smtp_error)) from error
        raise Unavailable("connect", type(error).__name__) from error
    return smtp


def _tls_context(*, verified: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Line:
    """One connection. `dead` when it is closed; `deadline`: by the monotonic clock, when an answer is too late."""

    def __init__(self, relay: SmtpRelay, hostname: str) -> None:
        """Raises Unavailable."""
        self._relay = relay
        self._smtp = _connected(relay, hostname)
        assert self._smtp.sock is not None  # noqa: S101  # connected
        self._sock = self._smtp.sock
        self._sock.setblocking(False)
        self._heard = select.poll()
        self._heard.register(self._sock, select.POLLIN)
        self._pipelining = self._smtp.has_extn("pipelining")
        self._utf8 = self._smtp.has_extn("smtputf8")
        self._carried = 0
        self.dead = False
        self.deadline = 0.0
        self._rest = b""  # of an answer
        self._said: list[bytes] = []  # the lines of an answer so far
        self._out = b""
        self._expected: deque[str] = deque()
        self._commands: deque[tuple[str, bytes]] = deque()  # still to be said, one by one
        self._job: Envelope | None = None  # its envelope or content is under way
        self._replies: list[tuple[int, bytes]] = []  # to its envelope
        self._in_content = False
        self._ending: Envelope | None = None  # its dot went out, and the answer is awaited

    def fileno(self) -> int:
        """Of its socket."""
        return self._sock.fileno()

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return self._job is None and self._ending is None and not self._expected

    @property
    def unknown(self) -> bool:
        """Whether the outcome of a message is awaited."""
        return self._ending is not None

    @property
    def free(self) -> bool:
        """Whether the next message may begin."""
        if self.dead or self._job is not None or self.worn:
            return False
        return self._pipelining or self.idle

    @property
    def worn(self) -> bool:
        """Whether it has carried as many messages as one connection may."""
        return bool(self._relay.messages) and self._carried >= self._relay.messages

    @property
    def wants_write(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._out)

    # --- one message ---

    def begin(self, envelope: Envelope) -> None:
        """Say MAIL, RCPT and DATA of a message, where PIPELINING is offered in one go with what was said before.

        Nothing is written yet: see `write`. Raises PermanentError, with nothing said, for an address that can't go.
        """
        sender, recipient = _sender_for_wire(envelope.sender), address_for_wire(envelope.recipient)
        plain = sender.isascii() and recipient.isascii()
        if not plain and not self._utf8:
            raise PermanentError(INVALID, "the relay takes no addresses beyond ASCII")
        self._job, self._replies, self._in_content = envelope, [], False
        self._carried += 1
        mail = f"MAIL FROM:<{sender}>{'' if plain else ' SMTPUTF8'}\r\n".encode()
        rcpt = f"RCPT TO:<{recipient}>\r\n".encode()
        if self._pipelining:
            self._say(mail + rcpt + b"DATA\r\n", "MAIL", "RCPT", "DATA")
        else:
            self._commands = deque((("RCPT", rcpt), ("DATA", b"DATA\r\n")))
            self._say(mail, "MAIL")

    def write(self, hand: Hand) -> None:
        """Write what waits, as far as the socket takes it."""
        while self._out and not self.dead:
            try:
                sent = self._sock.send(self._out)
            except _LATER:
                return
            except OSError as error:
                self.lost(hand, error)
                return
            self._out = self._out[sent:]
            if not self._in_content:
                continue
            if self._out:
                self._wait(_WAIT_BLOCK)
            else:
                self._content_sent(hand)

    def read(self, hand: Hand) -> None:
        """Take in what the relay said, and go on."""
        while not self.dead:
            try:
                data = self._sock.recv(_CHUNK)
            except _LATER:
                return
            except OSError as error:
                self.lost(hand, error)
                return
            if not data:
                self.lost(hand, EOFError())
                return
            whole = self._ending is not None and len(self._expected) == 4 and not self._rest and not self._said
            if whole and (usual := _USUAL.fullmatch(data)):
                self._expected.clear()
                self._ended(hand, int(usual[1]), usual[2].strip())
                self._content_begins()
                break
            *lines, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > _LINE_MAX:
                self.lost(hand, ConnectionError("an answer without end"))
                return
            for line in lines:
                self._said.append(line[4:].strip())
                if not line[:3].isdigit() or len(self._said) > _REPLY_LINES_MAX:
                    self.lost(hand, ConnectionError("not an answer of SMTP"))
                    return
                if line[3:4] != b"-":
                    said, self._said = b" ".join(self._said), []
                    self._answered(hand, int(line[:3]), said)
                    if self.dead:
                        return
            if len(data) < _CHUNK and not isinstance(self._sock, ssl.SSLSocket):
                break  # the socket is empty: one look less
        self.write(hand)

    def lost(self, hand: Hand, error: BaseException) -> None:
        """The connection ended, or was silent for too long: say what that means for the messages under way."""
        ending, job, replies = self._ending, self._job, self._replies
        self.drop()
        if ending is not None:
            hand.done(ending, OutcomeUnknown("no answer", type(error).__name__))
        if job is None:
            return
        if self._in_content:
            hand.done(job, RetryableError("dropped", "the connection ended before the end of the content"))
        elif any(code >= 400 for code, _ in replies):  # it answered and then left: the answer counts
            hand.done(job, self._refusal(job, replies)[0])
        else:
            hand.done(job, Unavailable("dropped", "the connection ended before the message was sent"))

    def drop(self) -> None:
        """Close without a word."""
        self.dead = True
        self._job = self._ending = None
        self._expected.clear()
        self._out = b""
        self._smtp.close()

    def close(self) -> None:
        """Say goodbye if it takes no waiting, and close."""
        if not self.dead:
            try:
                self._sock.settimeout(1.0)
                self._sock.sendall(b"QUIT\r\n")
            except OSError:
                pass  # it has gone already
        self.drop()

    # --- its steps ---

    def _say(self, data: bytes, *expected: str) -> None:
        self._out = self._out + data if self._out else data
        if not self._expected:
            self._wait(_WAITS[expected[0]])
        self._expected.extend(expected)

    def _wait(self, seconds: float) -> None:
        self.deadline = time.monotonic() + min(seconds, self._relay.timeout)

    def _answered(self, hand: Hand, code: int, text: bytes) -> None:
        if not self._expected:
            self._spoke_early(hand, code, text)
            return
        to = self._expected.popleft()
        if self._expected:
            self._wait(_WAITS[self._expected[0]])
        if to == "END":
            self._ended(hand, code, text)
        elif to == "RSET":
            if code >= 400:
                self.lost(hand, ConnectionError("RSET was refused"))
        else:
            self._replies.append((code, text))
            if self._commands and code < 400:
                name, data = self._commands.popleft()
                self._say(data, name)
            elif to == "DATA" or not self._pipelining:
                self._enveloped(hand)

    def _enveloped(self, hand: Hand) -> None:
        """All answers to MAIL, RCPT and DATA are there: the content, or what a refusal means."""
        job, replies = self._job, self._replies
        assert job is not None  # noqa: S101  # its answers are these
        self._commands.clear()
        if len(replies) == 3 and replies[2][0] == 354 and all(code < 400 for code, _ in replies):
            self._content_begins()
            return
        outcome, in_step = self._refusal(job, replies)
        self._job = None
        if in_step:
            self._say(b"RSET\r\n", "RSET")
        else:
            self.drop()
        hand.done(job, outcome)

    def _content_begins(self) -> None:
        job = self._job
        assert job is not None  # noqa: S101  # the relay waits for its content
        self._in_content = True
        self._wait(_WAIT_BLOCK)
        self._out += _stuffed(job.content, job.dots)

    def _refusal(self, job: Envelope, replies: list[tuple[int, bytes]]) -> tuple[ProviderError, bool]:
        """What a refusal before the content means, and whether the connection can go on."""
        stages = zip(("MAIL", "RCPT", "DATA"), [*replies, (500, b"unexpected answer")], strict=False)
        stage, (code, text) = next(
            (stage, reply) for stage, reply in stages if reply[0] >= 400 or (stage == "DATA" and reply[0] != 354)
        )
        answer = readable(text, job.recipient)
        if code == 421:
            return Unavailable(str(code), answer), False
        # out of step, or waiting for content to nobody
        in_step = not (code < 400 or (len(replies) == 3 and replies[2][0] == 354))
        if stage == "MAIL" or code < 500:
            # a refused sender is the fault of our set-up, not of the person's address: try again, until too late
            return RetryableError(str(code), answer), in_step
        return PermanentError(str(code), answer), in_step

    def _content_sent(self, hand: Hand) -> None:
        """All but the last line is out: a last look whether the relay still listens, the caller's word, the dot."""
        job = self._job
        assert job is not None  # noqa: S101  # it is its content
        if isinstance(self._sock, ssl.SSLSocket) or self._heard.poll(0):
            self.read(hand)
            if self.dead:
                return
        going = False
        try:
            going = hand.may_end(job)
        finally:
            if not going:
                self.drop()  # without the dot nothing was handed over
        if not going:
            hand.done(job, Withdrawn())
            return
        self._job, self._ending, self._in_content = None, job, False
        self._say(b".\r\n", "END")
        if self._pipelining and not self.worn:
            hand.follow(self)

    def _ended(self, hand: Hand, code: int, text: bytes) -> None:
        """What the answer after the dot means."""
        job, self._ending = self._ending, None
        assert job is not None  # noqa: S101  # its dot is what this answers
        answer = readable(text, job.recipient)
        if 200 <= code < 300:
            hand.done(job, Receipt(str(code), answer))
        elif 400 <= code < 500:
            hand.done(job, RetryableError(str(code), answer))
        elif code >= 500:
            hand.done(job, PermanentError(str(code), answer))
        else:
            hand.done(job, OutcomeUnknown(str(code), answer))
        if code == 421 or code < 200 or 300 <= code < 400:
            self.lost(hand, ConnectionError("the relay closes, or is out of step"))

    def _spoke_early(self, hand: Hand, code: int, text: bytes) -> None:
        """The relay answered before the content had ended, so it did not take the message; or it says goodbye."""
        job = self._job if self._in_content else None
        if job is not None:
            self._job = None
        self.lost(hand, ConnectionError("the relay spoke out of turn"))
        if job is not None:
            answer = readable(text, job.recipient)
            hand.done(job, PermanentError(str(code), answer) if code >= 500 else RetryableError(str(code), answer))


def _stuffed(content: bytes, dots: Sequence[int] | None) -> bytes:
    """Content as it goes over the wire, without its last line (RFC 5321, 4.5.2). dots: see `Envelope`."""
    if dots is not None:
        whole, starts = memoryview(content), (0, *dots)
        stuffed = content if not dots else b".".join(map(whole.__getitem__, map(slice, starts, (*dots, len(content)))))
    else:
        stuffed = content.replace(b"\r\n.", b"\r\n..") if b"\r\n." in content else content
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
    return stuffed if stuffed.endswith(b"\r\n") else stuffed + b"\r\n"
