"""Posts prepared bodies with events and says when each was accepted.

usage: _ingest_load.py PORT KEY PATH FILE RATE CONNECTIONS

FILE has a body on each line. RATE: bodies a second, 0 for as fast as the connections allow. A line of output for each
that was accepted: its number in the file, the moment on the machine's monotonic clock, and milliseconds since it was
due (RATE 0: since it was sent). What is answered with 429 or 503 is sent again after a moment, as senders do; in the
end a line with what was answered how often.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path

AGAIN_SECONDS = 0.1


class Sender:
    """One connection, one request at a time."""

    def __init__(self, port: int, head: bytes) -> None:
        self.port, self.head = port, head
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def post(self, body: bytes) -> int:
        """The status; 0 for a broken connection."""
        try:
            if self.writer is None or self.reader is None:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
            self.writer.write(b"%bContent-Length: %d\r\n\r\n%b" % (self.head, len(body), body))
            answer = await self.reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            await self.reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            self.writer = None
            return 0
        return int(answer.split(b" ", 2)[1])


async def load(port: int, key: str, path: str, bodies: list[bytes], rate: float, connections: int) -> None:
    """Post all bodies, and tell."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    ).encode()
    statuses: Counter[int] = Counter()
    begun = time.monotonic()
    waiting = iter(enumerate(bodies))

    async def one() -> None:
        sender = Sender(port, head)
        for number, body in waiting:
            due = begun + number / rate if rate else time.monotonic()
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            while (status := await sender.post(body)) not in (200, 202):
                statuses[status] += 1
                if status not in (0, 429, 503):
                    raise SystemExit(f"body {number} was answered with {status}")
                await asyncio.sleep(AGAIN_SECONDS)
            statuses[status] += 1
            at = time.monotonic()
            sys.stdout.write(f"{number} {at:.6f} {(at - due) * 1000:.3f}\n")

    print(f"{begun:.6f}", flush=True)
    await asyncio.gather(*(one() for _ in range(connections)))
    print(json.dumps(statuses), flush=True)


if __name__ == "__main__":
    port, key, path, file, rate, connections = sys.argv[1:7]
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a text stream
    bodies = Path(file).read_bytes().splitlines()
    asyncio.run(load(int(port), key, path, bodies, float(rate), int(connections)))
