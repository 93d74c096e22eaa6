"""A relay that misbehaves by a seeded plan and keeps a log: `python -m bin.lib.chaos_relay PORT LOG SEED`.

Of all tries it defers 30%, refuses 5%, takes 1% and drops the connection instead of answering, and leaves 1% without an
answer. What becomes of a try is drawn from the seed, the recipient and how often they were tried: a run with the same
seed meets the same answers, in whatever order messages come. A line is in the log before the answer goes out:

    seconds of the epoch, outcome, Message-ID before the @, recipient; between them tabs
"""

import asyncio
import hashlib
import sys
import time
from collections import Counter
from pathlib import Path
from typing import BinaryIO, Final

from bin.lib.chaos_verdict import DEFERRED, DROPPED, REFUSED, STALLED, TAKEN

SHARES: Final = ((DEFERRED, 0.30), (REFUSED, 0.05), (DROPPED, 0.01), (STALLED, 0.01))
"""Of all tries; the rest is taken."""
_ANSWERS: Final = {DEFERRED: b"451 4.3.0 later\r\n", REFUSED: b"550 5.1.1 no such mailbox\r\n"}


class Draws:
    """What becomes of each try."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._tries: Counter[str] = Counter()

    def draw(self, recipient: str) -> tuple[str, bool]:
        """The outcome of the next try for a recipient, and whether a refusal comes before the content."""
        self._tries[recipient] += 1
        digest = hashlib.sha256(f"{self._seed} {recipient} {self._tries[recipient]}".encode()).digest()
        place, early = int.from_bytes(digest[:8]) / 2**64, digest[8] % 2 == 0
        for outcome, share in SHARES:
            if place < share:
                return outcome, early
            place -= share
        return TAKEN, early


class Relay:
    """What all sessions share."""

    def __init__(self, log: BinaryIO, seed: int) -> None:
        self.draws = Draws(seed)
        self._log = log

    def note(self, outcome: str, message_id: str, recipient: str) -> None:
        """Write a line of the log; it is in the kernel's hands when this returns."""
        self._log.write(f"{time.time():.4f}\t{outcome}\t{message_id}\t{recipient}\n".encode())


class Session(asyncio.Protocol):
    """One connection: SMTP (RFC 5321) with PIPELINING, as far as a sender needs it."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._buffer = bytearray()
        self._recipient = ""
        self._outcome = ""
        self._in_content = False
        self._deaf = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # TCP
        self._transport = transport
        self._say(b"220 chaos ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._buffer += data
        while not self._deaf and (self._content() if self._in_content else self._command()):
            pass

    def _say(self, answer: bytes) -> None:
        self._transport.write(answer)

    def _command(self) -> bool:
        """One command; False when there is none whole yet."""
        line, end, rest = self._buffer.partition(b"\r\n")
        if not end:
            return False
        self._buffer = rest
        verb = line[:4].upper()
        if verb == b"EHLO":
            self._say(b"250-chaos\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n")
        elif verb == b"RCPT":
            self._rcpt(line.partition(b"<")[2].partition(b">")[0].decode())
        elif verb == b"DATA":
            self._in_content = bool(self._recipient)
            self._say(b"354 go on\r\n" if self._recipient else b"503 5.5.1 nobody to send it to\r\n")
        elif verb == b"QUIT":
            self._say(b"221 2.0.0 bye\r\n")
            self._transport.close()
            self._deaf = True
        else:
            self._recipient = ""
            self._say(b"250 2.0.0 OK\r\n")
        return True

    def _rcpt(self, recipient: str) -> None:
        outcome, early = self._relay.draws.draw(recipient)
        if early and outcome in _ANSWERS:
            self._relay.note(outcome, "", recipient)
            self._say(_ANSWERS[outcome])
        else:
            self._recipient, self._outcome = recipient, outcome
            self._say(b"250 2.1.5 OK\r\n")

    def _content(self) -> bool:
        """The content, once its end has come."""
        end = self._buffer.find(b"\r\n.\r\n")
        if end < 0:
            return False
        head = bytes(self._buffer[:end]).partition(b"\r\n\r\n")[0]
        del self._buffer[: end + 5]
        line = next(one for one in head.split(b"\r\n") if one.lower().startswith(b"message-id:"))
        self._relay.note(self._outcome, line.partition(b"<")[2].partition(b"@")[0].decode(), self._recipient)
        self._in_content, self._recipient = False, ""
        if self._outcome in (DROPPED, STALLED):
            self._deaf = True
            if self._outcome == DROPPED:
                self._transport.abort()
        else:
            self._say(_ANSWERS.get(self._outcome, b"250 2.0.0 taken\r\n"))
        return True


async def relay_run(port: int, log: Path, seed: int) -> None:
    """Serve until the end of the process."""
    with log.open("ab", buffering=0) as file:
        relay = Relay(file, seed)
        server = await asyncio.get_running_loop().create_server(lambda: Session(relay), "127.0.0.1", port)
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(relay_run(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
