"""Hand-over by SMTP (RFC 5321) over one connection that stays open.

`smtplib` opens the connection, greets, starts TLS and logs in. The transaction itself is written here, because the
moment after which nobody can know the outcome must be as short as it can be, and must be told to the caller first:
everything but the last line goes out, the caller is asked (`before_end`), and only then the line with the dot.
Dropped before the dot, the message was not taken; dropped after it, nobody knows.
"""

import logging
import re
import select
import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

from apps.foundation.core.errors import PermanentError, RetryableError
from apps.foundation.core.masking import addresses_mask

from .addresses import INVALID, address_for_wire
from .contracts import Envelope, Receipt
from .errors import OutcomeUnknown, Unavailable, Withdrawn

logger = logging.getLogger(__name__)

# RFC 5321, 4.5.3.2: how long to wait for each answer, in seconds
_WAIT_GREETING: Final = 300.0
_WAIT_COMMAND: Final = 300.0
_WAIT_DATA: Final = 120.0
_WAIT_BLOCK: Final = 180.0
_WAIT_END: Final = 600.0
_LINE_MAX: Final = 8192
_REPLY_LINES_MAX: Final = 100
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class SmtpRelay:
    """Where the mail goes, and how.

    starttls: `required` (verified), `offered` (taken where offered, unverified: RFC 7435) or `never`;
    timeout: no wait is longer than this, in seconds.
    """

    host: str
    port: int
    tls: bool
    starttls: str
    user: str
    password: str
    timeout: float


def relay_parse(url: str) -> SmtpRelay:
    """A relay from `smtp://[user:password@]host[:port][?starttls=required|offered|never&timeout=seconds]`.

    `smtps://` has TLS from the start. With a password TLS is required, unless the relay is this machine.
    Raises ValueError that says what is wrong, never with the password in it.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("SMTP_URL: give smtp://host:port or smtps://host:port")
    options = dict(parse_qsl(parts.query))
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    starttls = options.pop("starttls", "required" if parts.username and not local else "offered")
    timeout = float(options.pop("timeout", _WAIT_END))
    if options:
        raise ValueError(f"SMTP_URL: unknown option {sorted(options)[0]}; there are starttls and timeout")
    if starttls not in ("required", "offered", "never"):
        raise ValueError("SMTP_URL: starttls is required, offered or never")
    tls = parts.scheme == "smtps"
    return SmtpRelay(
        host=parts.hostname,
        port=parts.port or (465 if tls else 25),
        tls=tls,
        starttls=starttls,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        timeout=timeout,
    )


class SmtpChannel:
    """One connection to a relay, opened when it is needed. Not for use by several threads."""

    def __init__(self, relay: SmtpRelay, *, hostname: str = "") -> None:
        """hostname: what EHLO says; this machine's name by default."""
        self._relay = relay
        self._hostname = hostname or socket.gethostname()
        self._smtp: smtplib.SMTP | None = None
        self._pipelining = False
        self._utf8 = False
        self._recipient: tuple[str, ...] = ()

    def open(self) -> None:
        """Connect, greet, start TLS, log in; nothing when that was done. Raises Unavailable."""
        if self._smtp is not None:
            return
        relay = self._relay
        wait = min(_WAIT_GREETING, relay.timeout)
        smtp: smtplib.SMTP | None = None
        try:
            if relay.tls:
                smtp = smtplib.SMTP_SSL(
                    relay.host, relay.port, self._hostname, timeout=wait, context=_tls_context(verified=True)
                )
            else:
                smtp = smtplib.SMTP(relay.host, relay.port, self._hostname, timeout=wait)
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
                raise Unavailable(str(error.smtp_code), self._readable(error.smtp_error)) from error
            raise Unavailable("connect", type(error).__name__) from error
        self._smtp = smtp
        self._pipelining = smtp.has_extn("pipelining")
        self._utf8 = smtp.has_extn("smtputf8")

    def hand_over(self, envelope: Envelope, before_end: Callable[[], bool]) -> Receipt:
        """Hand one message over. `before_end` is asked when all but the last line went out; after True it goes.

        Raises Unavailable (nothing tried; the connection is closed), RetryableError, PermanentError,
        OutcomeUnknown (no answer after the end), Withdrawn (`before_end` said False).
        """
        sender, recipient = address_for_wire(envelope.sender), address_for_wire(envelope.recipient)
        self._recipient = (envelope.recipient, recipient)
        self.open()
        if not (sender.isascii() and recipient.isascii()) and not self._utf8:
            raise PermanentError(INVALID, "the relay takes no addresses beyond ASCII")
        self._greet(sender, recipient)
        return self._deliver(envelope.content, before_end)

    def close(self) -> None:
        """Say goodbye if it takes no waiting, and close."""
        smtp, self._smtp = self._smtp, None
        if smtp is None:
            return
        try:
            if smtp.sock is not None:
                smtp.sock.settimeout(1.0)
                smtp.sock.sendall(b"QUIT\r\n")
        except OSError:
            pass  # it has gone already
        smtp.close()

    # --- one transaction ---

    def _greet(self, sender: str, recipient: str) -> None:
        """MAIL, RCPT and DATA, in one go where the relay allows it (RFC 2920), up to the 354."""
        utf8 = "" if sender.isascii() and recipient.isascii() else " SMTPUTF8"
        commands = [f"MAIL FROM:<{sender}>{utf8}\r\n", f"RCPT TO:<{recipient}>\r\n", "DATA\r\n"]
        replies: list[tuple[int, bytes]] = []
        try:
            if self._pipelining:
                self._send("".join(commands).encode(), _WAIT_COMMAND)
                for wait in (_WAIT_COMMAND, _WAIT_COMMAND, _WAIT_DATA):
                    replies.append(self._reply(wait))
            else:
                for command in commands:
                    self._send(command.encode(), _WAIT_COMMAND)
                    replies.append(self._reply(_WAIT_DATA if command == "DATA\r\n" else _WAIT_COMMAND))
                    if replies[-1][0] >= 400:
                        break
        except (OSError, EOFError) as error:
            for code, text in replies:
                if code == 421:
                    self._gone(str(code), self._readable(text), error)
            if replies and any(code >= 400 for code, _ in replies):
                self.close()  # it answered and then left: the answer counts
            else:
                self._gone("dropped", "the connection ended before the message was sent", error)
        if len(replies) == 3 and replies[2][0] == 354 and all(code < 400 for code, _ in replies):
            return
        self._refused(replies)

    def _refused(self, replies: list[tuple[int, bytes]]) -> NoReturn:
        """What a refusal before the content means."""
        stage, (code, text) = next(
            (stage, reply)
            for stage, reply in zip(("MAIL", "RCPT", "DATA"), [*replies, (500, b"unexpected answer")], strict=False)
            if reply[0] >= 400 or (stage == "DATA" and reply[0] != 354)
        )
        answer = self._readable(text)
        if code == 421:
            self._gone(str(code), answer, None)
        if code < 400 or (len(replies) == 3 and replies[2][0] == 354):
            self.close()  # out of step, or waiting for content to nobody
        else:
            self._reset()
        if stage == "MAIL" or code < 500:
            # a refused sender is the fault of our set-up, not of the person's address: try again, until too late
            raise RetryableError(str(code), answer)
        raise PermanentError(str(code), answer)

    def _deliver(self, content: bytes, before_end: Callable[[], bool]) -> Receipt:
        """The content, the caller's word, the dot, the answer."""
        stuffed = content.replace(b"\r\n.", b"\r\n..")
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        if not stuffed.endswith(b"\r\n"):
            stuffed += b"\r\n"
        try:
            self._send(stuffed, _WAIT_BLOCK)
            spoke = self._has_spoken()
        except OSError as error:
            self._drop()
            raise RetryableError("dropped", "the connection ended before the end of the content") from error
        if spoke:
            self._spoke_early()
        going = False
        try:
            going = before_end()
        finally:
            if not going:
                self._drop()  # without the dot nothing was handed over
        if not going:
            raise Withdrawn
        try:
            self._send(b".\r\n", _WAIT_BLOCK)
            code, text = self._reply(_WAIT_END)
        except (OSError, EOFError) as error:
            self._drop()
            raise OutcomeUnknown("no answer", type(error).__name__) from error
        answer = self._readable(text)
        if 200 <= code < 300:
            return Receipt(str(code), answer)
        if code == 421:
            self._drop()
        if 400 <= code < 500:
            raise RetryableError(str(code), answer)
        if code >= 500:
            raise PermanentError(str(code), answer)
        self._drop()
        raise OutcomeUnknown(str(code), answer)

    def _spoke_early(self) -> NoReturn:
        """The relay answered, or left, before the content had ended: it did not take the message."""
        try:
            code, text = self._reply(1.0)
        except (OSError, EOFError) as error:
            self._drop()
            raise RetryableError("dropped", "the connection ended before the end of the content") from error
        self._drop()
        if code >= 500:
            raise PermanentError(str(code), self._readable(text))
        raise RetryableError(str(code), self._readable(text))

    # --- the connection ---

    def _readable(self, text: bytes | str) -> str:
        """An answer as one line of text, at most 400 characters, without the recipient's address: relays repeat it."""
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        return addresses_mask(_CONTROL.sub(" ", text).strip(), *self._recipient)[:400]

    def _drop(self) -> None:
        """Close without a word."""
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            smtp.close()

    def _socket(self) -> socket.socket:
        if self._smtp is None or self._smtp.sock is None:
            raise ConnectionError("not connected")
        return self._smtp.sock

    def _send(self, data: bytes, wait: float) -> None:
        sock = self._socket()
        sock.settimeout(min(wait, self._relay.timeout))
        sock.sendall(data)

    def _reply(self, wait: float) -> tuple[int, bytes]:
        """One answer. Raises OSError (time-outs among them), EOFError at the end of the connection."""
        self._socket().settimeout(min(wait, self._relay.timeout))
        assert self._smtp is not None and self._smtp.file is not None  # noqa: S101, PT018  # made by smtplib's greeting
        lines = []
        for _ in range(_REPLY_LINES_MAX):
            line = self._smtp.file.readline(_LINE_MAX)
            if not line.endswith(b"\n"):
                raise EOFError
            if not line[:3].isdigit():
                raise ConnectionError("not an answer of SMTP")
            lines.append(line[4:].strip())
            if line[3:4] != b"-":
                return int(line[:3]), b" ".join(lines)
        raise ConnectionError("an answer without end")

    def _has_spoken(self) -> bool:
        """Whether something, or the end of the connection, waits to be read. Under TLS that can't be told."""
        if isinstance(self._socket(), ssl.SSLSocket):
            return False
        poll = select.poll()
        poll.register(self._socket(), select.POLLIN | select.POLLHUP | select.POLLERR)
        return bool(poll.poll(0))

    def _reset(self) -> None:
        try:
            self._send(b"RSET\r\n", _WAIT_COMMAND)
            code, _ = self._reply(_WAIT_COMMAND)
        except (OSError, EOFError):
            code = 421
        if code >= 400:
            self.close()

    def _gone(self, code: str, text: str, error: BaseException | None) -> NoReturn:
        self.close()
        raise Unavailable(code, text) from error


def _tls_context(*, verified: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
