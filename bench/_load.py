"""Requests for decisions at a rate, as JSON: usage: _load.py PORT KEY RATE SECONDS CONNECTIONS FIRST LAST

RATE 0: as many as there can be. Times count from when a request was due, so that a server that is held up does not look
quick; with RATE 0 from when it was sent.

It shares the machine with what it measures, so it is one loop over plain sockets: a fifth of the processor time that
tasks of asyncio take for the same requests.
"""

import json
import random
import select
import socket
import sys
import time
from contextlib import suppress

_PATIENCE_SECONDS = 30.0
_END = b"\r\n\r\n"


class Asker:
    """One connection, one request at a time."""

    def __init__(self, port: int, key: str, people: tuple[int, int]) -> None:
        self.port, self.people = port, people
        self.wire: socket.socket | None = None
        self.heard = b""
        self.since = 0.0
        self._body = json.dumps({"placements": ["bench"], "profiles": [0]}).replace("[0]", "[%20d]").encode()
        self._head = (
            f"POST /api/v1/decisions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self._body % 0)}\r\n\r\n"
        ).encode()

    def ask(self, since: float) -> bool:
        """Send a request; whether that could be done. since: when it was due."""
        self.since, self.heard = since, b""
        try:
            if self.wire is None:
                self.wire = socket.create_connection(("127.0.0.1", self.port), _PATIENCE_SECONDS)
                self.wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.wire.sendall(self._head + self._body % random.randint(*self.people))
        except OSError:
            self.leave()
            return False
        return True

    def hear(self) -> tuple[int, bool] | None:
        """Take what came: the status and whether the answer was generic, 0 for a broken connection; None for an answer
        that is not whole yet."""
        assert self.wire is not None
        try:
            more = self.wire.recv(65_536)
        except OSError:
            more = b""
        if not more:
            self.leave()
            return 0, False
        self.heard += more
        head, end, content = self.heard.partition(_END)
        if not end or len(content) < int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            return None
        return int(head.split(b" ", 2)[1]), b'"generic":true' in content

    def leave(self) -> None:
        """Close a connection that is good for nothing any more."""
        if self.wire is not None:
            with suppress(OSError):
                self.wire.close()
        self.wire = None


def load(port: int, key: str, rate: float, seconds: float, connections: int, people: tuple[int, int]) -> None:
    """Ask, and print what came of it."""
    free = [Asker(port, key, people) for _ in range(connections)]
    asking: dict[socket.socket, Asker] = {}
    times: list[float] = []
    statuses: dict[int, int] = {}
    generic = 0

    def told(asker: Asker, status: int, was_generic: bool) -> None:
        nonlocal generic
        times.append(time.perf_counter() - asker.since)
        statuses[status] = statuses.get(status, 0) + 1
        generic += was_generic
        free.append(asker)

    begun = time.perf_counter()
    number = 0
    while True:
        at = time.perf_counter()
        open_still = at - begun < seconds
        due = begun + number / rate if rate else at
        while open_still and free and due <= at:
            asker = free.pop()
            number += 1
            if asker.ask(due):
                assert asker.wire is not None
                asking[asker.wire] = asker
            else:
                told(asker, 0, False)
            at = time.perf_counter()
            due = begun + number / rate if rate else at
        if not open_still and (not asking or at - begun > seconds + _PATIENCE_SECONDS):
            break
        waits = max(due - at, 0.0) if open_still and free else max(begun + seconds - at, 0.05)
        for wire in select.select(list(asking), (), (), waits)[0]:
            asker = asking[wire]
            if (said := asker.hear()) is not None:
                del asking[wire]
                told(asker, *said)
    for asker in list(asking.values()):  # never answered
        told(asker, 0, False)
    took = time.perf_counter() - begun
    times.sort()
    summed = {
        "answers": len(times),
        "per_second": round(len(times) / took, 1),
        "p50_ms": round(times[len(times) // 2] * 1000, 2),
        "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 2),
        "longest_ms": round(times[-1] * 1000, 2),
        "over_200_ms": sum(one > 0.2 for one in times),
        "not_ok": sum(count for status, count in statuses.items() if status != 200),
        "generic": generic,
    }
    print(json.dumps(summed), flush=True)


if __name__ == "__main__":
    port, key, rate, seconds, connections, first, last = sys.argv[1:8]
    load(int(port), key, float(rate), float(seconds), int(connections), (int(first), int(last)))
