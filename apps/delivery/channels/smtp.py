"""Hand-over by SMTP over some connections that stay open, one loop over all of them.

`smtp_line` has what happens on one connection. Here: which message goes where, and connections that come and go. A
message whose connection was lost before its content went out is begun once more on another one.
"""

import select
import socket
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from apps.foundation.core.errors import PermanentError

from .contracts import Caller, Envelope, Outcome, Receipt
from .errors import Unavailable, Withdrawn
from .smtp_line import WAIT_END, Line, SmtpRelay

__all__ = ["SmtpChannel", "SmtpRelay", "relay_parse"]

CONNECTIONS_MAX: Final = 64
FEW: Final = 5
"""So many messages are not worth another connection."""
_WORDS: Final = {"starttls", "timeout", "connections", "messages"}


def relay_parse(url: str) -> SmtpRelay:
    """A relay from `smtp://[user:password@]host[:port][?starttls=required|offered|never&timeout=seconds&…]`.

    `connections=4`: of one process at once; `messages=1000`: over one connection, then a new one is made.
    `smtps://` has TLS from the start. With a password TLS is required, unless the relay is this machine.
    Raises ValueError that says what is wrong, never with the password in it.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("SMTP_URL: give smtp://host:port or smtps://host:port")
    options = dict(parse_qsl(parts.query))
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    unknown = sorted(set(options) - _WORDS)
    if unknown:
        raise ValueError(f"SMTP_URL: unknown option {unknown[0]}; there are {', '.join(sorted(_WORDS))}")
    starttls = options.get("starttls", "required" if parts.username and not local else "offered")
    if starttls not in ("required", "offered", "never"):
        raise ValueError("SMTP_URL: starttls is required, offered or never")
    connections, messages = (_count(options, name, most) for name, most in (("connections", 64), ("messages", 10**6)))
    tls = parts.scheme == "smtps"
    return SmtpRelay(
        host=parts.hostname,
        port=parts.port or (465 if tls else 25),
        tls=tls,
        starttls=starttls,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        timeout=float(options.get("timeout", WAIT_END)),
        connections=connections or 4,
        messages=messages,
    )


def _count(options: dict[str, str], name: str, most: int) -> int:
    text = options.get(name, "0")
    if not text.isascii() or not text.isdigit() or int(text) > most or (name in options and text.strip("0") == ""):
        raise ValueError(f"SMTP_URL: {name} is a number from 1 to {most}")
    return int(text)


class SmtpChannel:
    """Connections to a relay, opened when they are needed. Not for use by several threads."""

    def __init__(self, relay: SmtpRelay, *, hostname: str = "") -> None:
        """hostname: what EHLO says; this machine's name by default."""
        self._relay = relay
        self._hostname = hostname or socket.gethostname()
        self._lines: list[Line] = []
        self._most = relay.connections

    def open(self, waiting: int = 1) -> None:
        """Have a connection, and more where so many messages wait that they are worth it. Raises Unavailable.

        A relay that takes fewer connections than it was told to is not asked for more.
        """
        self._lines = [line for line in self._lines if not line.dead]
        if not self._lines:
            self._lines.append(Line(self._relay, self._hostname))
        while len(self._lines) < min(self._most, -(-waiting // FEW)):
            try:
                self._lines.append(Line(self._relay, self._hostname))
            except Unavailable:
                self._most = len(self._lines)

    def hand_over(self, envelope: Envelope, before_end: Callable[[], bool]) -> Receipt:
        """Hand one message over. `before_end` is asked when all but the last line went out; after True it goes.

        Raises Unavailable (nothing tried; the connection is closed), RetryableError, PermanentError,
        OutcomeUnknown (no answer after the end), Withdrawn (`before_end` said False).
        """
        one = _One(envelope, before_end)
        self.open()
        _Loop(self._lines[:1], one, relay=self, again=False).run()
        assert one.outcome is not None  # noqa: S101  # the loop ends with it
        if isinstance(one.outcome, Receipt):
            return one.outcome
        raise one.outcome

    def hand_over_all(self, caller: Caller) -> None:
        """Hand over what the caller gives, several messages at a time, until nothing is left and all are answered.

        Each message's outcome is told to the caller: a receipt, or one of the errors of `hand_over`; Unavailable only
        when it happened twice. What the caller raises is raised here, once the answers that were awaited are there.
        Raises Unavailable when no connection can be had; what was given and not tried was told as Withdrawn before.
        """
        self.open()
        _Loop(self._lines, caller, relay=self, again=True).run()

    def connect(self) -> Line:
        """A connection more. Raises Unavailable."""
        line = Line(self._relay, self._hostname)
        self._lines.append(line)
        return line

    def close(self) -> None:
        """Say goodbye where it takes no waiting, and close."""
        for line in self._lines:
            line.close()
        self._lines = []


class _One:
    """The caller of a single message."""

    def __init__(self, envelope: Envelope, before_end: Callable[[], bool]) -> None:
        self._waiting: Envelope | None = envelope
        self._before_end = before_end
        self.outcome: Outcome | None = None

    def next(self) -> Envelope | None:
        given, self._waiting = self._waiting, None
        return given

    def may_end(self, envelope: Envelope) -> bool:
        return self._before_end()

    def done(self, envelope: Envelope, outcome: Outcome) -> None:
        self.outcome = outcome


class _Loop:
    """Messages under way on some connections. To the connections it is their `Hand`."""

    def __init__(self, lines: list[Line], caller: Caller, *, relay: SmtpChannel, again: bool) -> None:
        self._lines = list(lines)
        self._caller = caller
        self._relay = relay
        self._may_again = again
        self._again: deque[Envelope] = deque()
        self._twice: dict[int, Envelope] = {}  # by identity
        self._failure: BaseException | None = None
        self._over = False

    def run(self) -> None:
        """Until nothing is left. Raises as `hand_over_all`."""
        poll = select.poll()
        known: dict[int, Line] = {}
        watched: dict[int, int] = {}
        while True:
            try:
                self._give()
            except Exception as error:  # noqa: BLE001  # the caller's; raised when the awaited answers are there
                self._failure = self._failure or error
            for line in self._lines:
                if line.wants_write:
                    self._step(line, line.write)
            for number, line in list(known.items()):
                if line.dead:
                    poll.unregister(number)
                    del known[number], watched[number]
            self._lines = [line for line in self._lines if not line.dead]
            busy = [line for line in self._lines if not line.idle]
            if self._failure is not None:
                busy = [line for line in busy if line.unknown]
            if not busy:
                if self._failure is not None or not self._again:
                    break
                continue
            for line in busy:
                wanted = select.POLLIN | (select.POLLOUT if line.wants_write else 0)
                number = line.fileno()
                if watched.get(number) != wanted:
                    poll.register(number, wanted)
                    known[number], watched[number] = line, wanted
            self._wait(poll, known, busy)
        for line in self._lines:
            if not line.idle:
                line.drop()  # its message's content has not ended
            elif line.worn:
                line.close()
        if self._failure is not None:
            raise self._failure

    def _wait(self, poll: "select.poll", known: dict[int, Line], busy: list[Line]) -> None:
        """Wait for one of the connections, and go on with those that can."""
        now = time.monotonic()
        ends = min(line.deadline for line in busy)
        for number, events in poll.poll(max(0.0, ends - now) * 1000):
            line = known[number]
            if line.dead:
                continue
            if events & select.POLLOUT:
                self._step(line, line.write)
            if events & ~select.POLLOUT and not line.dead:
                self._step(line, line.read)
        now = time.monotonic()
        if now >= ends:
            for line in busy:
                if not line.dead and not line.idle and now >= line.deadline:
                    self._step(line, partial(line.lost, error=TimeoutError()))

    def _step(self, line: Line, step: "Callable[[_Loop], None]") -> None:
        """A step of one connection. What the caller raises in it ends the loop, after the answers that are awaited."""
        try:
            step(self)
        except Exception as error:  # noqa: BLE001  # raised at the end of `run`
            if not line.unknown:
                line.drop()
            self._failure = self._failure or error

    def _give(self) -> None:
        """Give messages to connections that are free; make one where there is none left."""
        for line in self._lines:
            while line.free and self._begin(line):
                pass
            if line.worn and line.idle and not line.dead:
                line.close()
        if self._failure is None and not any(not line.dead for line in self._lines):
            envelope = self._next()
            if envelope is None:
                return
            self._again.appendleft(envelope)
            try:
                self._lines.append(self._relay.connect())
            except Unavailable as error:
                for waiting in self._again:
                    self._caller.done(waiting, Withdrawn() if self._may_again else error)
                self._again.clear()
                self._failure = error
                return
            self._give()

    def _begin(self, line: Line) -> bool:
        """Begin the next message on a connection. False when there is none, or it was begun."""
        envelope = self._next()
        if envelope is None:
            return False
        try:
            line.begin(envelope)
        except PermanentError as error:
            self._caller.done(envelope, error)
            return True
        return False

    def _next(self) -> Envelope | None:
        if self._failure is not None:
            return None
        return self._again.popleft() if self._again else self._caller.next()

    # --- what connections ask and tell ---

    def follow(self, line: Line) -> None:
        """The next message may go behind the end of another one."""
        while self._begin(line):
            pass

    def may_end(self, envelope: Envelope) -> bool:
        """The caller's word."""
        return self._failure is None and self._caller.may_end(envelope)

    def done(self, envelope: Envelope, outcome: Outcome) -> None:
        """Tell the caller; but what surely was not tried is tried once more."""
        if isinstance(outcome, Unavailable) and self._may_again and id(envelope) not in self._twice:
            self._twice[id(envelope)] = envelope
            self._again.append(envelope)
            return
        self._caller.done(envelope, outcome)
