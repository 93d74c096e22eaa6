"""The events of `bin/chaos ingest`, and the blows on their way: real servers, web workers and consumers.

Whoever keeps processes alive in production is played by this one: it starts again what it killed. All else has to come
back by itself.
"""

import contextlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis

from bin.lib.chaos_ingest_judge import PEOPLE
from bin.lib.processes import Child, Supervisor
from bin.lib.progress import Progress
from bin.lib.servers import Postgres, Redis, ServerError, free_port
from bin.lib.venv import ROOT

BATCH: Final = 50
SENDERS: Final = 4
PATIENCE: Final = 300.0
_STAGE: Final = 2
_AGAIN_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Size:
    """How much of everything: events, and blows of each kind."""

    events: int
    kills: int
    webs: int
    postgres: int
    redis: int
    seed: int


class IngestRun:
    """One run. The servers are up and the database migrated."""

    def __init__(
        self,
        *,
        size: Size,
        state: Path,
        environment: dict[str, str],
        supervisor: Supervisor,
        progress: Progress,
        postgres: Postgres,
        stream: Redis,
    ) -> None:
        self.size, self.supervisor, self.progress = size, supervisor, progress
        self.postgres, self.stream = postgres, stream
        self.blows: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.accepted: list[str] = []
        self.port = free_port()
        self._state = state
        self._environment = environment | {"EVENT_CLAIM_SECONDS": "1"}
        self._chance = random.Random(size.seed)
        self._running: dict[str, Child] = {}
        self._lock = threading.Lock()
        self._batches = iter(range(0, size.events, BATCH))
        self._key = ""
        self._senders: list[threading.Thread] = []

    # --- what runs ---

    def start(self, owner: dict[str, str]) -> None:
        """A client of the API, two consumers, web workers, and those who post. owner: environment of the database's
        owner."""
        command = [sys.executable, "-m", "bin.lib.chaos_ingest_judge", "make"]
        done = subprocess.run(command, env=owner, cwd=ROOT, capture_output=True, text=True, check=True)
        self._key = done.stdout.split()[-1]
        for name in ("consumer-1", "consumer-2", "web"):
            self._start(name)
        self.supervisor.wait_until(self._web_answers, what="web workers", seconds=120)
        self._senders = [threading.Thread(target=self._send, daemon=True) for _ in range(SENDERS)]
        for one in self._senders:
            one.start()

    def _start(self, name: str) -> None:
        command = ["manage.py", "events_consume", "--count", "200"]
        if name == "web":
            command = ["-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(self.port)]
            command += ["--workers", "2", "--blocking-threads", "4", "--no-ws", "--log-level", "warning"]
            command += ["config.wsgi:application"]
        self._running[name] = self.supervisor.start(
            name, [sys.executable, *command], env=self._environment, cwd=ROOT, stage=_STAGE
        )

    def _web_answers(self) -> bool:
        try:
            link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            link.request("GET", "/healthz")
            return link.getresponse().status == 200
        except OSError:
            return False

    def _send(self) -> None:
        """Post batches as a client does: each again and again until it is accepted."""
        link: http.client.HTTPConnection | None = None
        while True:
            with self._lock:
                start = next(self._batches, None)
            if start is None:
                return
            ids = [f"m-{number}" for number in range(start, min(start + BATCH, self.size.events))]
            calls = [
                {"type": "track", "event": "Product Viewed", "userId": f"u-{int(one[2:]) % PEOPLE}", "messageId": one}
                for one in ids
            ]
            body = json.dumps({"batch": calls})
            until = time.monotonic() + PATIENCE
            while time.monotonic() < until:
                try:
                    link = link or http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
                    link.request("POST", "/v1/batch", body, {"Authorization": f"Bearer {self._key}"})
                    answer = link.getresponse()
                    answer.read()
                    said = str(answer.status)
                except (OSError, http.client.HTTPException):
                    link, said = None, "no answer"
                with self._lock:
                    self.answers[said] += 1
                    if said == "200":
                        self.accepted += ids
                        break
                time.sleep(_AGAIN_SECONDS)

    # --- the blows ---

    def disturb(self) -> None:
        """All blows, spread over the events."""
        size = self.size
        kinds = ["kill"] * size.kills + ["web"] * size.webs + ["postgres"] * size.postgres + ["redis"] * size.redis
        self._chance.shuffle(kinds)
        for number, kind in enumerate(kinds, 1):
            due = 0.9 * size.events * (number - 0.5) / len(kinds)
            self.supervisor.wait_until(
                lambda due=due: len(self.accepted) >= due,  # type: ignore[misc]
                what="the next events",
                seconds=PATIENCE,
            )
            self.progress.note = f"{number} of {len(kinds)}: {kind}"
            blow: Callable[[], None] = getattr(self, f"_blow_{kind}")
            blow()
            self.blows[kind] += 1

    def _blow_kill(self) -> None:
        """kill -9 of a consumer."""
        self._killed(self._chance.choice(("consumer-1", "consumer-2")))

    def _blow_web(self) -> None:
        """kill -9 of all that answers requests, in the middle of whatever it was answering."""
        self._killed("web")

    def _killed(self, name: str) -> None:
        child = self._running[name]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.process.pid, signal.SIGKILL)
        self.supervisor.stop_child(child)
        self._start(name)

    def _blow_postgres(self) -> None:
        """An immediate stop, as of a crash: no checkpoint, every connection cut."""
        self._down(self.postgres, signal.SIGQUIT)

    def _blow_redis(self) -> None:
        """kill -9 of the Redis that holds the events; it comes back with its file."""
        self._down(self.stream, signal.SIGKILL)

    def _down(self, server: Postgres | Redis, number: signal.Signals) -> None:
        def port() -> int:
            return server.port if isinstance(server, Redis) else server.keys.postgres_port

        assert server.child is not None  # noqa: S101  # it was started
        before = port()
        server.child.process.send_signal(number)
        server.child.process.wait(60)
        self.supervisor.stop_child(server.child)
        time.sleep(0.5 + 1.5 * self._chance.random())
        server.start()
        if port() != before:
            raise ServerError("a server came back on another port, which another program took meanwhile")

    # --- the end ---

    def finish(self) -> None:
        """Until all is accepted, and nothing waits any more."""
        for one in self._senders:
            while one.is_alive():
                one.join(1.0)
                self.supervisor.check()
        client = redis.Redis.from_url(self.stream.url)
        self.supervisor.wait_until(lambda: client.xlen("events:stream") == 0, what="the last events", seconds=PATIENCE)
        client.close()
        for name in ("web", "consumer-1", "consumer-2"):
            self.supervisor.stop_child(self._running[name])

    def judge(self) -> dict[str, int]:
        """What the application has of what was accepted."""
        file = self._state / "accepted"
        file.write_text("\n".join(self.accepted))
        command = [sys.executable, "-m", "bin.lib.chaos_ingest_judge", "judge", str(file)]
        done = subprocess.run(command, env=self._environment, cwd=ROOT, capture_output=True, text=True, check=True)
        found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
        return found
