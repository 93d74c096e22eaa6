"""A real SMTP server that logs what it accepts and misbehaves as told, in a thread of the tests."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session, syntax

from bin.lib.servers import free_port

logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd tells of each line that it gets

Plan = Callable[[str], str]


@dataclass
class Accepted:
    """One message that the relay took."""

    message_id: str
    recipient: str
    content: bytes
    sender: str | None = None


@dataclass
class Relay:
    """plan: what to do with a recipient: `ok`, `451 …` or `550 …` (to RCPT), `data 451 …` (after the content),
    `drop at data`, `drop after` (takes it, never answers), `lose after` (does not take it, never answers), `421`,
    `stall`; `slow N` waits N seconds before the answer.
    """

    port: int = 0
    plan: Plan = lambda recipient: "ok"
    accepted: list[Accepted] = field(default_factory=list)
    connections: int = 0
    closing: bool = False
    commands: deque[str] = field(default_factory=lambda: deque(maxlen=10_000))
    extensions: tuple[str, ...] = ("250-PIPELINING",)
    on_accept: Callable[[Accepted], None] | None = None
    _controller: Any = None

    def ids(self) -> Counter[str]:
        """How often each message was taken, by its id."""
        return Counter(one.message_id for one in self.accepted)

    def recipients(self) -> Counter[str]:
        """How often each recipient was written to."""
        return Counter(one.recipient for one in self.accepted)

    # --- aiosmtpd's hooks ---

    async def handle_EHLO(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], *self.extensions, responses[-1]]

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        what = self.plan(address)
        if what[:1] in "45" and what != "421":
            return what
        if what == "421":
            self.closing = True
            return "421 4.3.2 closing"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        what = self.plan(envelope.rcpt_tos[0])
        if what.startswith("data "):
            return what.removeprefix("data ")
        if what == "lose after":
            _abort(server)
            return "250 OK"
        if what == "stall":
            await asyncio.sleep(3600)
        content = envelope.original_content or b""
        head = content.partition(b"\r\n\r\n")[0].decode()
        line = next(one for one in head.split("\r\n") if one.lower().startswith("message-id:"))
        one = Accepted(line.partition("<")[2].partition("@")[0], envelope.rcpt_tos[0], content, envelope.mail_from)
        self.accepted.append(one)
        if self.on_accept is not None:
            self.on_accept(one)
        if what.startswith("slow "):
            await asyncio.sleep(float(what.removeprefix("slow ")))
        if what == "drop after":
            _abort(server)
        return "250 OK"

    # --- life ---

    def start(self) -> None:
        relay = self

        class Server(SMTP):
            def connection_made(self, transport: Any) -> None:
                relay.connections += 1
                super().connection_made(transport)

            @syntax("DATA")
            async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
                if relay.closing:
                    relay.closing = False
                    _close(self)
                    return
                if self.envelope and self.envelope.rcpt_tos and relay.plan(self.envelope.rcpt_tos[0]) == "drop at data":
                    _abort(self)
                    return
                await super().smtp_DATA(arg)

        class Starter(Controller):
            def factory(self) -> SMTP:
                return Server(self.handler, enable_SMTPUTF8=True, ident="test relay", data_size_limit=50_000_000)

        self._controller = Starter(self, hostname="127.0.0.1", port=self.port or free_port())
        self._controller.start()
        self.port = self._controller.port

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None


def _transport(server: SMTP) -> asyncio.WriteTransport:
    assert isinstance(server.transport, asyncio.WriteTransport)
    return server.transport


def _abort(server: SMTP) -> None:
    _transport(server).abort()


def _close(server: SMTP) -> None:
    _transport(server).close()
