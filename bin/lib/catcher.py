"""The mail catcher: takes every mail by SMTP, sends none on, and shows them in a page.

For the demo and for developers. SMTP with PIPELINING, 8BITMIME, SMTPUTF8 and SIZE, on 127.0.0.1 alone.
"""

import argparse
import asyncio
import logging
import re
import signal
import sys
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from bin.lib.catcher_page import page_serve
from bin.lib.mailbox import Mailbox

SIZE_LIMIT = 30_000_000
"""Bytes of one mail."""
LINE_LIMIT = 998
"""Bytes of a line without its end (RFC 5322, 2.1.1); a longer one is the sender's fault, and shows here."""
PLAIN_ADDRESS = re.compile(r"<([\w.!#$%&'*+/=?^`{|}~-]+@[A-Za-z0-9.-]+)>(.*)", re.ASCII)


class CatcherSMTP(SMTP):
    """aiosmtpd's server, which reads a mail in one go instead of line by line: a tenth of the time."""

    # Also the limit of what the stream gives in one go.
    line_length_limit = SIZE_LIMIT

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """A command's address and what follows it; plain ones without the library's whole parser."""
        plain = PLAIN_ADDRESS.fullmatch(arg)
        return (plain[1], plain[2]) if plain else super()._getaddr(arg)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 -- the library finds commands by such names
        if await self.check_helo_needed():
            return
        assert self.envelope is not None  # noqa: S101 -- it has been made with the connection
        if not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 RCPT first")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        try:
            content = await self._data_read()
        except asyncio.LimitOverrunError:
            await self.push("552 5.3.4 Too much mail data")
            self._writer.close()
            raise asyncio.CancelledError from None
        if max(map(len, content.split(b"\r\n"))) > LINE_LIMIT:
            status = "500 5.5.2 Line too long (RFC 5321, 4.5.3.1.6)"
        else:
            self.envelope.content = self.envelope.original_content = content
            status = await self._call_handler_hook("DATA")
        self.envelope = self._create_envelope()
        await self.push(status)

    async def _data_read(self) -> bytes:
        """A mail's bytes, the dots that were doubled for the way taken out again (RFC 5321, 4.5.2)."""
        first = await self._reader.readexactly(1)
        if first not in b".\r":
            # No end of a line has been read yet, so the end of the mail is still whole in the stream.
            content = first + await self._reader.readuntil(b"\r\n.\r\n")
            content = content[:-3]
        else:
            lines = [first + await self._reader.readuntil(b"\r\n")]
            while lines[-1] != b".\r\n":
                lines.append(await self._reader.readuntil(b"\r\n"))
            content = b"".join(lines[:-1])
        return re.sub(rb"(\A|\r\n)\.", rb"\1", content)


class Handler:
    """Keeps what comes. The names of its methods are the library's."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Says that commands may come without waiting for answers: they are read and answered in their order."""
        session.host_name = hostname
        return [responses[0], "250-PIPELINING", *responses[1:]]

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        try:
            entry = self.mailbox.add(
                content if isinstance(content, bytes) else b"",
                sender=envelope.mail_from or "",
                recipients=list(envelope.rcpt_tos),
            )
        except OSError as error:
            logging.getLogger("catcher").error("a mail couldn't be kept: %s", error)
            return "452 4.3.1 The mail couldn't be kept"
        return f"250 2.0.0 Kept as {entry.id.rsplit('-', 1)[1]}"


async def catcher_run(folder: Path, *, smtp_port: int, page_port: int, images_from: str) -> None:
    """Takes and shows mails until SIGTERM or SIGINT."""
    mailbox = Mailbox(folder)
    loop = asyncio.get_running_loop()

    def connection() -> Any:
        return CatcherSMTP(
            Handler(mailbox),
            data_size_limit=SIZE_LIMIT,
            enable_SMTPUTF8=True,
            hostname="localhost",
            ident="Tessera's mail catcher",
            loop=loop,
        )

    server = await loop.create_server(connection, "127.0.0.1", smtp_port, backlog=512)
    page = page_serve(mailbox, port=page_port, images_from=images_from)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    logging.getLogger("catcher").info("SMTP on port %d, the page on port %d, mails in %s", smtp_port, page_port, folder)
    await ended.wait()
    server.close()
    page.shutdown()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="catcher", description=__doc__)
    parser.add_argument("folder", type=Path, help="where mails are kept")
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--page-port", type=int, required=True)
    parser.add_argument("--images-from", default="", help="an origin whose images mails may show, http://host:port")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # The library logs every command; that is much, and holds addresses.
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    run = catcher_run(
        options.folder, smtp_port=options.smtp_port, page_port=options.page_port, images_from=options.images_from
    )
    asyncio.run(run)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
