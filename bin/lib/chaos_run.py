"""The send of `bin/chaos`, and the blows it gets: real servers, real Celery workers, our own relay.

Whoever keeps processes alive in production (systemd, say) is played by this one: it starts again what it killed. All
else has to come back by itself.
"""

import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg2
import redis

from apps.delivery.channels.smtp import relay_parse
from bin.lib.chaos_verdict import GOT, REFUSED, Blow, LedgerRow, RelayLine, Terms, log_read
from bin.lib.processes import Child, ProcessDied, Supervisor
from bin.lib.progress import Progress
from bin.lib.servers import Postgres, Redis
from bin.lib.venv import ROOT

_MOVING: Final = ("queued", "claimed", "sending", "retry")
"""The states of a message that may still go out."""
STAGE: Final = 2
RESUME_SECONDS: Final = 60.0
STUCK_SECONDS: Final = 180.0
"""After so long without any change of the ledger it is taken for halted."""
SHARE_UNDER_BLOWS: Final = 0.85
"""The last blow falls when so much of the send is done."""
SHORT: Final = {
    "SEND_LEASE_SECONDS": "8",
    "SENDER_DEAD_SECONDS": "3",
    "SEND_RETRY_SECONDS": "1",
    "SEND_MAX_ATTEMPTS": "6",
    "SEND_CLAIM": "60",
    "SEND_WINDOW": "20",
    "LOG_LEVEL": "WARNING",
}
"""Settings that shorten what would take minutes."""
RELAY_TIMEOUT: Final = 2
"""Seconds a sender waits for the relay; what stalls costs so much."""


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    messages: int
    kills: int
    stops: int
    postgres: int
    redis: int
    workers: int
    seed: int
    smtp_options: str = ""

    @property
    def blows(self) -> int:
        """How many blows there are in all."""
        return self.kills + self.stops + self.postgres + self.redis


@dataclass
class Tail:
    """The relay's log, read as it grows."""

    path: Path
    lines: list[RelayLine] = field(default_factory=list)
    done: int = 0
    _place: int = 0
    _rest: str = ""

    def read(self) -> None:
        """Take up what came since."""
        with self.path.open() as file:
            file.seek(self._place)
            text = self._rest + file.read()
            self._place = file.tell()
        whole, newline, self._rest = text.rpartition("\n")
        fresh = log_read(whole.split("\n")) if newline else []
        self.lines += fresh
        self.done += sum(line.outcome in (*GOT, REFUSED) for line in fresh)

    def taken_since(self, at: float) -> float | None:
        """When the relay took the first message after `at`."""
        for line in reversed(self.lines):
            if line.at <= at:
                break
        return next((line.at for line in self._since(at) if line.outcome in GOT), None)

    def _since(self, at: float) -> list[RelayLine]:
        place = len(self.lines)
        while place and self.lines[place - 1].at > at:
            place -= 1
        return self.lines[place:]


class ChaosRun:
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
        redis: Redis,
        relay_port: int,
    ) -> None:
        self.size = size
        self.supervisor = supervisor
        self.progress = progress
        self.postgres = postgres
        self.redis = redis
        self.relay_port = relay_port
        self.people = state / "people"
        self.tail = Tail(state / "relay.log")
        self.blows: list[Blow] = []
        self.restarts: Counter[str] = Counter()
        self.killed_at: list[tuple[int, float]] = []
        self._state = state
        options = f"timeout={RELAY_TIMEOUT}{f'&{size.smtp_options}' if size.smtp_options else ''}"
        self._environment = environment | SHORT | {"SMTP_URL": f"smtp://127.0.0.1:{relay_port}?{options}"}
        self._chance = random.Random(size.seed)
        self._workers: dict[str, Child] = {}

    @property
    def terms(self) -> Terms:
        """What was asked for."""
        connections = relay_parse(self._environment["SMTP_URL"]).connections
        return Terms(self.size.messages, connections, int(SHORT["SEND_WINDOW"]), RESUME_SECONDS)

    # --- before ---

    def people_make(self, environment: dict[str, str]) -> None:
        """Everybody and their decisions; environment: of the database's owner."""
        self.supervisor.run(
            "people",
            [sys.executable, "-m", "bin.lib.chaos_people", str(self.size.messages), self.people],
            env=environment,
            cwd=ROOT,
            note=lambda text: setattr(self.progress, "note", text),
        )

    def start(self) -> None:
        """The relay, the workers and beat."""
        self.tail.path.touch()
        relay = ["-m", "bin.lib.chaos_relay", str(self.relay_port), str(self.tail.path), str(self.size.seed)]
        self.supervisor.start("relay", [sys.executable, *relay], env=self._environment, cwd=ROOT, stage=1)
        for number in range(1, self.size.workers + 1):
            self._worker_start(f"sender-{number}")
        self._worker_start("house")
        self._worker_start("beat")

    def _worker_start(self, name: str) -> None:
        command = [sys.executable, "-m", "celery", "-A", "config"]
        if name == "beat":
            command += ["beat", "--schedule", str(self._state / "celerybeat-schedule"), "--pidfile="]
        else:
            queues = "ingest,decide,render,track,maintenance" if name == "house" else "send"
            command += ["worker", "-Q", queues, "--concurrency", "1", "--hostname", f"{name}@%h"]
            command += ["--without-gossip", "--without-mingle"]
        command += ["--loglevel", "WARNING"]
        self._workers[name] = self.supervisor.start(
            name, command, env=self._environment, cwd=ROOT, stage=STAGE, stop_seconds=10.0
        )

    # --- the blows ---

    def disturb(self) -> None:
        """All blows, spread over the send."""
        size = self.size
        kinds = ["kill"] * size.kills + ["stop"] * size.stops + ["postgres"] * size.postgres + ["redis"] * size.redis
        self._chance.shuffle(kinds)
        for number, kind in enumerate(kinds, 1):
            due = SHARE_UNDER_BLOWS * size.messages * (number - 0.5) / len(kinds)
            self._until(lambda due=due: self.tail.done >= due, seconds=STUCK_SECONDS)  # type: ignore[misc]
            time.sleep(self._chance.random() * 0.3)
            self._say(f"{number} of {len(kinds)}: {kind}")
            over = self._blow(kind)
            resumed = self._resumed(over)
            self.blows.append(Blow(kind, resumed))
            self._keep_up()

    def _blow(self, kind: str) -> float:
        """One of them; gives the moment from which it was over."""
        blow: Callable[[], float] = getattr(self, f"_blow_{kind}")
        return blow()

    def _blow_kill(self) -> float:
        """kill -9: of a whole worker, or of the process in it that sends."""
        name, pids = self._sending_worker()
        whole = self._chance.random() < 0.5 or len(pids) < 2
        at = time.time()
        for pid in pids if whole else pids[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self.killed_at.append((pid, at))
        if whole:
            self.supervisor.stop_child(self._workers[name])
            self._worker_start(name)
        return at

    def _blow_stop(self) -> float:
        """SIGSTOP until the lease is over and others have taken what it held; then it goes on."""
        _, pids = self._sending_worker()
        self._signal(pids, signal.SIGSTOP)
        try:
            time.sleep(float(SHORT["SEND_LEASE_SECONDS"]) + 2 + 3 * self._chance.random())
        finally:
            self._signal(pids, signal.SIGCONT)
        return time.time()

    def _blow_postgres(self) -> float:
        """An immediate stop, as of a crash: no checkpoint, every connection cut."""
        server, port = self.postgres, self.postgres.keys.postgres_port
        assert server.child is not None  # noqa: S101  # it was started
        server.child.process.send_signal(signal.SIGQUIT)
        server.child.process.wait(60)
        self.supervisor.stop_child(server.child)
        time.sleep(0.5 + 2.5 * self._chance.random())
        server.start()
        self._same(port, server.keys.postgres_port)
        return time.time()

    def _blow_redis(self) -> float:
        """Everything in it forgotten, then killed."""
        server, port = self.redis, self.redis.port
        assert server.child is not None  # noqa: S101  # it was started
        client = redis.Redis.from_url(server.url)
        client.flushall()
        client.close()
        server.child.process.kill()
        server.child.process.wait(60)
        self.supervisor.stop_child(server.child)
        time.sleep(0.5 + 2.5 * self._chance.random())
        server.start()
        self._same(port, server.port)
        return time.time()

    def _same(self, before: int, after: int) -> None:
        if before != after:
            raise ProcessDied("another program took a server's port while it was down; start again")

    def _sending_worker(self) -> tuple[str, list[int]]:
        """One that sends now, if any does: its name and its processes, the parent first."""
        limit = time.monotonic() + RESUME_SECONDS
        while True:
            alive = {name: _family(self._workers[name].process.pid) for name in self._workers if name != "beat"}
            senders = {row[0] for row in self._rows("SELECT pid FROM sending_sender WHERE settled_at IS NULL")}
            at_work = sorted(name for name, pids in alive.items() if senders & set(pids))
            if at_work or time.monotonic() > limit:
                name = self._chance.choice(at_work or sorted(alive))
                return name, alive[name]
            time.sleep(0.05)

    def _signal(self, pids: list[int], number: signal.Signals) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _resumed(self, over: float) -> float | None:
        limit = time.monotonic() + RESUME_SECONDS * 2
        while time.monotonic() < limit:
            self.tail.read()
            taken = self.tail.taken_since(over)
            if taken is not None:
                return round(taken - over, 2)
            if not self._rows(f"SELECT FROM sending_message WHERE state IN {_MOVING} LIMIT 1"):  # our own words
                return 0.0
            time.sleep(0.2)
        return None

    def _keep_up(self) -> None:
        """Start again what ended by itself."""
        for name, child in list(self._workers.items()):
            if not child.running:
                self.restarts[name.rstrip("-0123456789")] += 1
                self.supervisor.stop_child(child)
                self._worker_start(name)

    # --- the end ---

    def finish(self) -> None:
        """Wait until nothing is left that may still go out, or nothing moves any more."""
        seen, moved = "", time.monotonic()
        while time.monotonic() - moved < STUCK_SECONDS:
            states = self._rows("SELECT state, count(*) FROM sending_message GROUP BY state ORDER BY state")
            left = {state: number for state, number in states if state in _MOVING}
            if states and not left and sum(row[1] for row in states) >= self.size.messages:
                break
            text = ", ".join(f"{number} {state}" for state, number in states)
            if text != seen:
                seen, moved = text, time.monotonic()
            self._say(text)
            self._keep_up()
            time.sleep(0.5)
        self.tail.read()

    def rows(self) -> list[LedgerRow]:
        """The ledger, with who each message was for."""
        with self.people.open() as file:
            address = dict(line.rstrip("\n").split("\t") for line in file)
        return [
            LedgerRow(str(row[0]), address.get(str(row[1]), ""), row[2], row[3])
            for row in self._rows("SELECT id, profile_id, state, reason FROM sending_message")
        ]

    def settled_seconds(self) -> float:
        """The longest time from a kill until what the dead sender held was settled."""
        rows = self._rows(
            "SELECT pid, extract(epoch FROM started_at)::float, extract(epoch FROM settled_at)::float"
            " FROM sending_sender WHERE settled_at IS NOT NULL"
        )
        found = [
            settled - at
            for killed, at in self.killed_at
            for pid, started, settled in rows
            if pid == killed and started < at < settled
        ]
        return round(max(found, default=0.0), 1)

    def settle(self) -> None:
        """Settle what is uncertain by the relay's log, as its operator would."""
        log = self._state / "taken.log"
        got = (line for line in self.tail.lines if line.outcome in GOT)
        log.write_text("".join(f"{line.message_id}\t{line.recipient}\n" for line in got))
        command = [sys.executable, "manage.py", "messages_settle", "--relay-log", str(log)]
        self.supervisor.run("settle", command, env=self._environment, cwd=ROOT)

    def stop(self) -> None:
        """End the workers: what they log after this is of no interest."""
        for child in list(self._workers.values()):
            self.supervisor.stop_child(child)
        self._workers.clear()

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        for patience in range(100, -1, -1):
            try:
                link = psycopg2.connect(self._environment["DATABASE_URL"], connect_timeout=5)
            except psycopg2.OperationalError:
                if not patience:
                    raise
                time.sleep(0.1)
                continue
            try:
                with link.cursor() as cursor:
                    cursor.execute(statement)
                    return cursor.fetchall()
            finally:
                link.close()
        raise AssertionError("the loop above returns")

    def _until(self, holds: Callable[[], bool], *, seconds: float) -> bool:
        """Wait for it, as long as the relay takes something within `seconds`."""
        done, moved = -1, time.monotonic()
        while True:
            self.tail.read()
            if holds():
                return True
            if self.tail.done != done:
                done, moved = self.tail.done, time.monotonic()
            if time.monotonic() - moved > seconds:
                return False
            self._keep_up()
            time.sleep(0.05)

    def _say(self, text: str) -> None:
        self.progress.note = f"{self.tail.done} of {self.size.messages} done; {text}"


def _family(pid: int) -> list[int]:
    """A process and its children; nothing when it is gone."""
    children = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # after the name in parentheses: state, parent (proc(5))
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                children.append(int(entry.name))
    return [pid, *sorted(children)] if Path(f"/proc/{pid}").exists() else []
