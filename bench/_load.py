"""Requests for decisions at a rate, as JSON: usage: _load.py PORT KEY RATE SECONDS CONNECTIONS FIRST LAST

RATE 0: as many as there can be. Times count from when a request was due, so that a server that is held up does not look
quick; with RATE 0 from when it was sent.
"""

import asyncio
import json
import random
import sys
import time


class Asker:
    """One connection, one request at a time."""

    def __init__(self, port: int, key: str, people: tuple[int, int]) -> None:
        self.port, self.key, self.people = port, key, people
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def ask(self) -> tuple[int, bool]:
        """The status, and whether the answer was generic. 0 for a broken connection."""
        body = json.dumps({"placements": ["bench"], "profiles": [random.randint(*self.people)]}).encode()
        head = (
            f"POST /api/v1/decisions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            if self.writer is None:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
            assert self.reader is not None
            self.writer.write(head.encode() + body)
            answer = await self.reader.readuntil(b"\r\n\r\n")
            said = answer.lower()
            length = int(said.partition(b"content-length: ")[2].split(b"\r\n")[0])
            content = await self.reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            self.writer = None
            return 0, False
        return int(answer.split(b" ", 2)[1]), b'"generic":true' in content


async def load(port: int, key: str, rate: float, seconds: float, connections: int, people: tuple[int, int]) -> None:
    """Ask, and print what came of it."""
    free: asyncio.Queue[Asker] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(Asker(port, key, people))
    times: list[float] = []
    statuses: dict[int, int] = {}
    generic = 0

    async def one(due: float, asker: Asker) -> None:
        nonlocal generic
        status, was_generic = await asker.ask()
        times.append(time.perf_counter() - due)
        statuses[status] = statuses.get(status, 0) + 1
        generic += was_generic
        free.put_nowait(asker)

    begun = time.perf_counter()
    running: set[asyncio.Task[None]] = set()
    number = 0
    while (at := time.perf_counter()) - begun < seconds:
        due = begun + number / rate if rate else at
        if due > at:
            await asyncio.sleep(due - at)
        asker = await free.get()
        task = asyncio.create_task(one(due if rate else time.perf_counter(), asker))
        running.add(task)
        task.add_done_callback(running.discard)
        number += 1
    if running:
        await asyncio.wait(running, timeout=30)
    took = time.perf_counter() - begun
    times.sort()
    told = {
        "answers": len(times),
        "per_second": round(len(times) / took, 1),
        "p50_ms": round(times[len(times) // 2] * 1000, 2),
        "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 2),
        "longest_ms": round(times[-1] * 1000, 2),
        "over_200_ms": sum(one > 0.2 for one in times),
        "not_ok": sum(count for status, count in statuses.items() if status != 200),
        "generic": generic,
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    port, key, rate, seconds, connections, first, last = sys.argv[1:8]
    asyncio.run(load(int(port), key, float(rate), float(seconds), int(connections), (int(first), int(last))))
