"""A listener for mail that comes back, by LMTP (RFC 2033): an answer for each recipient, none before it is written."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import Envelope, Session
from asgiref.sync import sync_to_async
from django.db import Error as AnyDatabaseError
from django.db import close_old_connections

from apps.data.profiles.errors import MasterKeyMissing
from apps.delivery.channels.bounces import MOST

from .receiving import Taken, mail_take, recipient_known

logger = logging.getLogger(__name__)

_LARGEST: Final = 32 * MOST
"""Bytes of a mail that are taken in; what is read of it is less."""
_RECIPIENTS: Final = 100


class Returns:
    """What is done with each mail."""

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: LMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= _RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        if not recipient_known(address):
            return "550 5.1.1 No such address here"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: LMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        raw = content if isinstance(content, bytes) else str(content or "").encode("utf-8", "surrogateescape")
        answers = [await sync_to_async(_take, thread_sensitive=False)(one, raw) for one in envelope.rcpt_tos]
        return "\r\n".join(answers)  # RFC 2033, 4.2: an answer for each


def _take(recipient: str, content: bytes) -> str:
    close_old_connections()
    try:
        taken = mail_take(recipient=recipient, content=content)
    except (AnyDatabaseError, MasterKeyMissing) as error:
        logger.warning("a mail that came back is not taken now: %s", type(error).__name__)
        return "451 4.3.0 Not now, try again"
    except Exception as error:  # noqa: BLE001  # whatever one mail does, it stays with the mail server, and others come
        logger.error("a mail that came back was not taken: %s", type(error).__name__)
        return "451 4.3.0 Not now, try again"
    finally:
        close_old_connections()
    return "550 5.1.1 No such address here" if taken is Taken.UNKNOWN else f"250 2.0.0 {taken.value}"


async def listen(host: str, port: int, *, ready: Callable[[int], Any], stop: asyncio.Event) -> None:
    """Listen until `stop` is set; mails under way are taken to their end. ready: called with the port."""
    loop = asyncio.get_running_loop()

    def connection() -> LMTP:
        return LMTP(Returns(), data_size_limit=_LARGEST, hostname="tessera", ident="Tessera", loop=loop, timeout=300)

    server = await loop.create_server(connection, host, port)
    ready(server.sockets[0].getsockname()[1])
    async with server:
        await stop.wait()
