"""One address for both web servers: `/live/…` goes to the ASGI process, all else to the WSGI workers.

For one machine: the demo and the tests. In production nginx or Caddy does this (docs/running.md).

One request for each connection, to the server behind and to the browser: where a message ends is then a matter of
that one message, and nothing can be smuggled behind it (RFC 9112, 11.2). Bodies are passed on as they come, both
ways, so that streams aren't held up and large files cost no memory.

Time limits are `asyncio.timeout` throughout: before Python 3.12 `wait_for` can swallow a cancellation.
"""

import argparse
import asyncio
import contextlib
import html
import logging
import re
import signal
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit

log = logging.getLogger("front")

HEAD_LIMIT = 32_768
"""Bytes of a request's or an answer's head."""
HEAD_SECONDS = 20.0
"""For a browser to send its head."""
BODY_SECONDS = 60.0
"""For the next part of a body, in either direction, except of an answer's."""
ANSWER_SECONDS = 120.0
"""For the server behind to begin its answer."""
CONNECT_SECONDS = 5.0
LINGER_SECONDS = 2.0
"""For a browser to take the end of its answer and close."""
CHUNK = 65_536
CONNECTIONS = 1_000

REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\xff]+) HTTP/1\.([01])")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")
HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"te", b"trailer", b"upgrade"}
"""Fields for one connection alone (RFC 9110, 7.6.1). Transfer-Encoding stays: bodies are passed on as they come."""
TOLD_BY_US = {b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-real-ip", b"expect"}

REASONS = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem}}
</style><h1>{title}</h1><p>{text}</p></html>
"""


class Refused(Exception):
    """The request gets this status and no more."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True)
class Head:
    """The first line of a message and its fields, in their order."""

    line: bytes
    fields: list[tuple[bytes, bytes]]

    def values(self, name: bytes) -> list[bytes]:
        return [value for field, value in self.fields if field.lower() == name]


def head_parse(raw: bytes) -> Head:
    """Parses a head strictly: folded lines, stray CR and NUL are errors (RFC 9112, 2.2 and 5.2).

    Raises:
        Refused: it is malformed.
    """
    first, *lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
    fields = []
    for line in lines:
        match = FIELD.fullmatch(line)
        if not match:
            raise Refused(400, "A header field of the request is malformed.")
        fields.append((match[1], match[2]))
    return Head(first, fields)


def body_length(head: Head) -> int | None:
    """A request's body in bytes; None for a chunked one.

    Raises:
        Refused: its length is said twice, or not in a way that all understand alike.
    """
    encodings, lengths = head.values(b"transfer-encoding"), head.values(b"content-length")
    if encodings:
        if lengths:
            raise Refused(400, "The request says its length in two ways.")
        if [encoding.lower() for encoding in encodings] != [b"chunked"]:
            raise Refused(501, "Only the transfer encoding “chunked” is known here.")
        return None
    if not lengths:
        return 0
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
        raise Refused(400, "The request's length is malformed.")
    return int(lengths[0])


@dataclass(frozen=True)
class Front:
    """The proxy, with the ports on 127.0.0.1 of the servers behind it."""

    wsgi_port: int
    asgi_port: int

    def port_for(self, target: bytes) -> int:
        """The server for a request's target."""
        path = urlsplit(target).path if not target.startswith(b"/") else target
        return self.asgi_port if path.startswith(b"/live/") else self.wsgi_port

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a browser: one request, one answer."""
        try:
            await self._request(reader, writer)
        except Refused as error:
            await _refuse(writer, error)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass  # The browser went, or does nothing.
        finally:
            # A socket closed with bytes unread resets the connection, and the browser may lose the answer.
            with contextlib.suppress(OSError, TimeoutError):
                writer.write_eof()
                async with asyncio.timeout(LINGER_SECONDS):
                    await _gone(reader)
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(LINGER_SECONDS):
                    await writer.wait_closed()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                raw = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            raise Refused(431, "The request's head is too long.") from None
        except TimeoutError:
            raise Refused(408, "The request didn't come in time.") from None
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise Refused(400, "The request ends within its head.") from None
            return  # A connection opened ahead and not used, as browsers do.
        head = head_parse(raw.lstrip(b"\r\n"))
        match = REQUEST_LINE.fullmatch(head.line)
        hosts = len(head.values(b"host"))
        if not match or hosts > 1 or (match[3] == b"1" and not hosts):
            raise Refused(400, "The request's first line is malformed, or its Host is missing.")
        length = body_length(head)
        port = self.port_for(match[2])
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                back_reader, back_writer = await asyncio.open_connection("127.0.0.1", port, limit=HEAD_LIMIT)
        except (OSError, TimeoutError):
            raise Refused(502, "The server behind this address doesn't answer. It may still be starting.") from None
        try:
            if b"100-continue" in [value.lower() for value in head.values(b"expect")]:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            peer = str((writer.get_extra_info("peername") or ["127.0.0.1"])[0])
            back_writer.write(_request_head(head, peer))
            await self._exchange(reader, writer, back_reader, back_writer, length)
        finally:
            back_writer.transport.abort()

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back_reader: asyncio.StreamReader,
        back_writer: asyncio.StreamWriter,
        length: int | None,
    ) -> None:
        """Passes the request's body on and the answer back, at the same time; the answer's end ends both."""
        begun = asyncio.Event()
        upload = asyncio.create_task(_upload(reader, back_writer, length))
        answer = asyncio.create_task(_answer(back_reader, writer, begun))
        gone: asyncio.Task[None] | None = None
        try:
            await asyncio.wait({upload, answer}, return_when=asyncio.FIRST_COMPLETED)
            failure = upload.exception() if upload.done() else None
            if not answer.done() and failure is None:
                # The body is through. All the browser can do now, beside waiting, is to go.
                gone = asyncio.create_task(_gone(reader))
                await asyncio.wait({gone, answer}, return_when=asyncio.FIRST_COMPLETED)
            elif not answer.done() and isinstance(failure, BrokenPipeError | ConnectionResetError):
                # The server behind takes no more of it; it may say why.
                await asyncio.wait({answer}, timeout=CONNECT_SECONDS)
            elif not answer.done() and isinstance(failure, Refused) and not begun.is_set():
                raise failure
            if answer.done():
                await answer
        finally:
            tasks = [task for task in (upload, answer, gone) if task]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _request_head(head: Head, peer: str) -> bytes:
    named = {token.strip().lower() for value in head.values(b"connection") for token in value.split(b",")}
    lines = [head.line]
    for name, value in head.fields:
        key = name.lower()
        if key not in HOP_BY_HOP and key not in TOLD_BY_US and (key not in named or key == b"host"):
            lines.append(name + b": " + value)
    lines += [b"X-Forwarded-For: " + peer.encode(), b"X-Forwarded-Proto: http", b"Connection: close"]
    return b"\r\n".join(lines) + b"\r\n\r\n"


async def _upload(reader: asyncio.StreamReader, out: asyncio.StreamWriter, length: int | None) -> None:
    """Passes a request's body on, its exact bytes and none behind them."""
    if length is not None:
        await _pass_exactly(reader, out, length)
    else:
        size = -1
        while size:
            line = await _line(reader)
            match = re.fullmatch(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[^\r\n]*)?\r\n", line)
            if not match:
                raise Refused(400, "A chunk of the request is malformed.")
            size = int(match[1], 16)
            out.write(match[1] + b"\r\n")
            if size:
                await _pass_exactly(reader, out, size)
                async with asyncio.timeout(BODY_SECONDS):
                    end = await reader.readexactly(2)
                if end != b"\r\n":
                    raise Refused(400, "A chunk of the request is malformed.")
                out.write(b"\r\n")
        while await _line(reader) != b"\r\n":
            pass  # Trailers aren't passed on.
        out.write(b"\r\n")
    await out.drain()


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await reader.readuntil(b"\r\n")
    except asyncio.LimitOverrunError:
        raise Refused(400, "A chunk of the request is malformed.") from None


async def _pass_exactly(reader: asyncio.StreamReader, out: asyncio.StreamWriter, count: int) -> None:
    while count:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                part = await reader.read(min(CHUNK, count))
        except TimeoutError:
            raise Refused(408, "The request's body didn't come in time.") from None
        if not part:
            raise asyncio.IncompleteReadError(b"", count)
        count -= len(part)
        out.write(part)
        async with asyncio.timeout(ANSWER_SECONDS):
            await out.drain()


async def _gone(reader: asyncio.StreamReader) -> None:
    """Returns when the browser has closed; what it sends behind its request is dropped."""
    with contextlib.suppress(OSError):
        while await reader.read(CHUNK):
            pass


async def _answer(reader: asyncio.StreamReader, out: asyncio.StreamWriter, begun: asyncio.Event) -> None:
    """Passes an answer back: its head with `Connection: close`, then all bytes as they come, up to their end.

    Raises:
        Refused: there is none; afterwards, with `begun` set, nothing but the connection's end can say so.
    """
    status = b"1"
    while status.startswith(b"1"):  # 1xx answers are followed by the final one
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                raw = await reader.readuntil(b"\r\n\r\n")
            head = head_parse(raw)
        except TimeoutError:
            raise Refused(504, "The server behind this address takes too long to answer.") from None
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, Refused):
            raise Refused(502, "The server behind this address broke off before it answered.") from None
        status = [*head.line.split(b" ", 2), b"", b""][1]
    lines = [head.line]
    lines += [name + b": " + value for name, value in head.fields if name.lower() not in HOP_BY_HOP]
    begun.set()
    out.write(b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n")
    while part := await reader.read(CHUNK):
        out.write(part)
        async with asyncio.timeout(BODY_SECONDS):
            await out.drain()


async def _refuse(writer: asyncio.StreamWriter, error: Refused) -> None:
    title = f"{error.status} {REASONS[error.status]}"
    body = PAGE.format(title=title, text=html.escape(error.text)).encode()
    head = (
        f"HTTP/1.1 {title}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    with contextlib.suppress(OSError, TimeoutError):
        writer.write(head.encode() + body)
        async with asyncio.timeout(BODY_SECONDS):
            await writer.drain()


async def front_run(front: Front, *, port: int) -> None:
    """Serves on a port of 127.0.0.1 until SIGTERM or SIGINT; open answers get no time to end."""
    open_now = 0

    async def limited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now
        if open_now >= CONNECTIONS:
            await _refuse(writer, Refused(503, "Too many connections at once."))
            writer.close()
            return
        open_now += 1
        try:
            await front.serve(reader, writer)
        finally:
            open_now -= 1

    server = await asyncio.start_server(limited, "127.0.0.1", port, limit=HEAD_LIMIT, backlog=512)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    log.info("127.0.0.1:%d: /live/ to port %d, all else to port %d", port, front.asgi_port, front.wsgi_port)
    await ended.wait()
    server.close()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="front", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--wsgi-port", type=int, required=True)
    parser.add_argument("--asgi-port", type=int, required=True)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(front_run(Front(options.wsgi_port, options.asgi_port), port=options.port))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
