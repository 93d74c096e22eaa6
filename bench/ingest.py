"""Events over HTTP: how many a second, and how soon they are in features; beside a bare loop.

usage: bin/bench ingest [--events N] [--batch N] [--people N] [--rate N] [--singles N] [--consumers N] [--workers N]

Segment's calls (track 57 %, page 40 %, identify 3 %; six in ten by people who are known, one in 200 by somebody new,
the others by devices; one in 100 an order) are posted by a process of its own to `/v1/batch` of granian's WSGI workers,
and written down by `manage.py events_consume`. First at the rate of the target, to see the lag: one event in each batch
is the first of somebody whose features are read again and again, until it shows. Then as fast as it goes, until all are
written down. Then single events, one a request, to `/api/v1/events`. PostgreSQL and Redis are on the same machine, and
whatever is answered is on Redis's disk (`appendfsync always`).

The bare loop takes the same bodies: JSON, XADD, XREADGROUP, COPY into one table without any index, in one process. No
HTTP, no people, no duplicates, no schemas, nothing sealed, no features.

It leaves its rows in the database.
"""

# ruff: noqa: E402  # Django is set up before models are imported
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

import orjson
import redis
from django.conf import settings
from django.db import connection

from apps.data.events.models import DeadLetter, Event
from apps.data.events.stream import STREAM, stream_client
from apps.data.features.selectors import features_read
from apps.data.profiles.addresses import NewIdentifier, identifiers_add
from apps.data.profiles.models import Profile
from apps.foundation.core.clock import now
from bench.decide import web
from bin.lib.servers import free_port
from bin.lib.venv import ROOT
from tests import factories
from tests.surfaces.api.makers import make_asker

TARGETS = {"events_per_second": 5_000, "lag_p99_ms": 2_000}
LOOK_SECONDS = 0.05
"""How often the watch looks; so much too late it may see an event."""
PATIENCE = 600.0
CHUNK = 5_000
TICK = os.sysconf("SC_CLK_TCK")
PLANS = ("free", "basic", "pro")


def told(text: str) -> None:
    """Say where it is, beside what is for programs."""
    print(text, file=sys.stderr, flush=True)


# --- what is sent ---


def people_make(source: str, size: int) -> None:
    """People with a customer number and an address, as earlier traffic would have left them."""
    for start in range(0, size, CHUNK):
        numbers = range(start, min(start + CHUNK, size))
        people = Profile.objects.bulk_create(
            Profile(first_name=f"Person {number}", country="DE", attributes={"plan": PLANS[number % 3]})
            for number in numbers
        )
        identifiers_add(
            NewIdentifier(person.pk, kind, value, main=kind == "email")
            for number, person in zip(numbers, people, strict=True)
            for kind, value in (
                ("external_id", f"{source}:user-{number}"),
                ("email", f"person-{number}@people.example"),
            )
        )


def probes_make(source: str, name: str, size: int) -> list[int]:
    """Somebody for each batch, who has done nothing yet. Returns their ids."""
    people = Profile.objects.bulk_create(Profile() for _ in range(size))
    identifiers_add(
        NewIdentifier(person.pk, "external_id", f"{source}:{name}-{number}") for number, person in enumerate(people)
    )
    return [person.pk for person in people]


class Traffic:
    """Makes Segment's calls as a shop's pages and server would."""

    def __init__(self, people: int, seed: int) -> None:
        self._chance = random.Random(seed)
        self._people = people
        self._new = count()

    def call(self) -> dict[str, Any]:
        """One call."""
        chance, at = self._chance, now().isoformat()
        kind = chance.random()
        made: dict[str, Any] = {
            "messageId": str(uuid4()),
            "timestamp": at,
            "context": {
                "ip": "203.0.113.7",
                "library": {"name": "analytics.js", "version": "2.11.1"},
                "locale": "de-DE",
                "page": {"path": "/tea", "title": "Tea", "url": "https://shop.example/tea?utm_source=mail&s=1"},
                "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0",
            },
        }
        number = int(self._people * chance.random() ** 2)  # some are here far more often than others
        who = chance.random()
        known = who < 0.6 or kind < 0.03
        if known:
            made["userId"] = f"user-{number}"
        elif who < 0.605:
            made["userId"] = f"new-{uuid4().hex[:12]}"
        if not known or who < 0.3:
            made["anonymousId"] = f"device-{number}-{int(known)}"
        if kind < 0.03:
            traits = {"email": f"person-{number}@people.example", "plan": PLANS[number % 3], "country": "DE"}
            return made | {"type": "identify", "traits": traits}
        if kind < 0.43:
            page = {"path": f"/tea/{chance.randrange(500)}", "title": "Tea", "url": "https://shop.example/tea"}
            return made | {"type": "page", "name": "Product", "properties": page}
        if kind < 0.44:
            lines = [{"sku": f"TEA-{chance.randrange(500)}", "price": 4.5, "quantity": 2} for _ in range(3)]
            order = {"order_id": uuid4().hex[:12], "revenue": 27.0, "currency": "EUR", "products": lines}
            return made | {"type": "track", "event": "Order Completed", "properties": order}
        name = chance.choice(("Product Viewed", "Product Viewed", "Product Added", "Product List Viewed", "Tea Brewed"))
        product = {"product_id": f"TEA-{chance.randrange(500)}", "price": 4.5, "category": "tea", "position": 3}
        return made | {"type": "track", "event": name, "properties": product}

    def batch(self, size: int, probe: str) -> bytes:
        """A body with so many calls, the last of them the probe's."""
        calls = [self.call() for _ in range(size - 1)]
        calls.append({"type": "track", "event": "Product Viewed", "userId": probe, "messageId": str(uuid4())})
        return orjson.dumps({"batch": calls, "sentAt": now().isoformat()})

    def single(self) -> bytes:
        """The body of one event in the API's own form."""
        number = self._chance.randrange(self._people)
        properties = {"product_id": "TEA-1", "price": 4.5}
        return orjson.dumps(
            {"id": str(uuid4()), "name": "Product Viewed", "user_id": f"user-{number}", "properties": properties}
        )


# --- what it costs ---


def processes() -> dict[int, tuple[int, float]]:
    """The parent, and seconds of CPU so far with those of children that ended, of each process of this machine."""
    found = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[int(file.parent.name)] = int(fields[1]), sum(map(int, fields[11:15])) / TICK
    return found


def tree_seconds(root: int, seen: dict[int, tuple[int, float]]) -> float:
    """Seconds of CPU of a process and all below it; 0 for one that is not on this machine."""
    if root not in seen:
        return 0.0
    return seen[root][1] + sum(tree_seconds(pid, seen) for pid, (parent, _) in seen.items() if parent == root)


def redis_seconds(url: str) -> float:
    """Seconds of CPU of a Redis."""
    said: Any = redis.Redis.from_url(url).info("cpu")
    return float(said["used_cpu_user"] + said["used_cpu_sys"] + said["used_cpu_user_children"])


def postgres_root() -> int:
    """The pid of PostgreSQL's first process, where it is on this machine."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    return processes().get(backend, (0, 0.0))[0]


def cpu_read(trees: dict[str, int]) -> dict[str, float]:
    """Seconds of CPU by kind of process. trees: the first process of each kind."""
    seen = processes()
    found = {name: tree_seconds(root, seen) for name, root in trees.items()}
    found["stream's redis"] = redis_seconds(settings.EVENT_REDIS_URL)
    if settings.REDIS_URL != settings.EVENT_REDIS_URL:
        found["redis"] = redis_seconds(settings.REDIS_URL)
    return found


# --- the runs ---


@contextmanager
def consumers(number: int) -> Iterator[list[int]]:
    """So many processes that write down what came, until the block ends; their pids."""
    command = [sys.executable, "manage.py", "events_consume"]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) for _ in range(number)]
    try:
        yield [one.pid for one in running]
    finally:
        for one in running:
            one.terminate()
        for one in running:
            one.wait(60)


class Run:
    """Bodies on their way: posted by a process of its own, and watched until all are written down."""

    def __init__(self, port: int, key: str, path: str, file: Path, rate: float, connections: int) -> None:
        command = [sys.executable, str(ROOT / "bench" / "_ingest_load.py"), str(port), key, path, str(file)]
        self.process = subprocess.Popen([*command, str(rate), str(connections)], stdout=subprocess.PIPE, text=True)
        self.accepted: dict[int, float] = {}
        self.took: list[float] = []
        self.statuses: dict[str, int] = {}
        assert self.process.stdout is not None
        self.begun = float(self.process.stdout.readline())
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                self.statuses = json.loads(line)
                return
            number, at, milliseconds = line.split()
            self.took.append(float(milliseconds))
            self.accepted[int(number)] = float(at)

    def watch(self, probes: list[int]) -> tuple[list[float], float]:
        """Look until all is written down. Returns the lag of each body in milliseconds, from when it was accepted until
        its probe's features show it, and when the last entry was settled."""
        waiting = dict(enumerate(probes))
        lags: list[float] = []
        until, settled = time.monotonic() + PATIENCE, 0.0
        while waiting or not settled:
            if time.monotonic() > until:
                raise SystemExit(f"{len(waiting)} bodies are not in features after {PATIENCE:.0f} s")
            time.sleep(LOOK_SECONDS)
            ended = not self._reader.is_alive()
            asked = {probes[number]: number for number in list(self.accepted) if number in waiting}
            read = features_read(profile_ids=list(asked)[:500], names=["product_views_30d"], as_of=now())
            at = time.monotonic()
            for profile_id, values in read.items():
                if values["product_views_30d"]:
                    del waiting[number := asked[profile_id]]
                    lags.append((at - self.accepted[number]) * 1000)
            if ended and not settled and stream_client().xlen(STREAM) == 0:
                settled = time.monotonic()
        self.process.wait(30)
        if self.process.returncode:
            raise SystemExit("the load ended with an error")
        return lags, settled


def bare(bodies: list[bytes], batch: int, gather: int) -> tuple[float, float]:
    """The least that does such work: seconds, and of this process's CPU."""
    client = stream_client()
    client.delete("bench:bare")
    client.xgroup_create("bench:bare", "bare", id="0", mkstream=True)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE bench_bare (who text, name text, occurred_at text, message_id text, properties jsonb,"
            " context jsonb)"
        )
        try:
            begun, cpu = time.perf_counter(), time.process_time()
            for start in range(0, len(bodies), gather // batch or 1):
                for body in bodies[start : start + (gather // batch or 1)]:
                    orjson.loads(body)
                    client.xadd("bench:bare", {"d": body})
                found: Any = client.xreadgroup("bare", "one", {"bench:bare": ">"}, count=1_000)
                rows = StringIO()
                for _, fields in found[0][1]:
                    for call in orjson.loads(fields[b"d"])["batch"]:
                        told_of = [orjson.dumps(call.get(name) or {}).decode() for name in ("properties", "context")]
                        plain = [str(call.get(name)) for name in ("userId", "event", "timestamp", "messageId")]
                        rows.write("\t".join([*plain, *told_of]).replace("\\", "\\\\") + "\n")
                rows.seek(0)
                cursor.cursor.copy_expert("COPY bench_bare FROM STDIN", rows)
                numbers = [number for number, _ in found[0][1]]
                client.xack("bench:bare", "bare", *numbers)
                client.xdel("bench:bare", *numbers)
            return time.perf_counter() - begun, time.process_time() - cpu
        finally:
            cursor.execute("DROP TABLE bench_bare")
            client.delete("bench:bare")


def quantile(values: list[float], part: float) -> float:
    """So much of the values lies at or below it."""
    return sorted(values)[min(int(len(values) * part), len(values) - 1)]


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="bin/bench ingest", description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000, help="in each of the two runs (default: 200,000)")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--rate", type=int, default=TARGETS["events_per_second"], help="of the run that shows the lag")
    parser.add_argument("--singles", type=int, default=5_000, help="events that are sent one by one")
    parser.add_argument("--consumers", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=4)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    asked = arguments()
    factories._number = count(time.time_ns() % 10**9)  # this database may have some of the makers' already
    asker = make_asker(kind="event_source", per_minute=100_000_000)
    shop = asker.client.code
    people_make(shop, asked.people)
    bodies_count = asked.events // asked.batch
    paced, fast = (probes_make(shop, name, bodies_count) for name in ("paced", "fast"))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    traffic = Traffic(asked.people, seed=11)
    figures: dict[str, Any] = {"events": asked.events, "batch": asked.batch, "people": asked.people}
    port = free_port()
    sent = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        web(port, asked.workers) as server,
        consumers(asked.consumers) as pids,
    ):
        trees = {"web": server.pid, "postgresql": postgres_root()}
        trees |= {f"consumer {number}": pid for number, pid in enumerate(pids, 1)}

        def run(name: str, bodies: list[bytes], probes: list[int], rate: float, path: str = "/v1/batch") -> Run:
            file = Path(folder) / name
            file.write_bytes(b"\n".join(bodies))
            before = cpu_read(trees)
            going = Run(port, asker.key, path, file, rate, asked.connections)
            lags, settled = going.watch(probes)
            after = cpu_read(trees)
            events = len(bodies) * (1 if name == "singles" else asked.batch)
            cost = {kind: round((after[kind] - before[kind]) / events * 1e6, 1) for kind in after}
            accepted = events / (max(going.accepted.values()) - going.begun)
            recorded = events / (settled - going.begun)
            figures[f"{name}_accepted_per_second"] = round(accepted)
            figures[f"{name}_recorded_per_second"] = round(recorded)
            figures[f"{name}_answer_p50_ms"] = round(median(going.took), 1)
            figures[f"{name}_answer_p99_ms"] = round(quantile(going.took, 0.99), 1)
            if lags:
                figures[f"{name}_lag_p50_ms"] = round(median(lags))
                figures[f"{name}_lag_p99_ms"] = round(quantile(lags, 0.99))
                figures[f"{name}_lag_most_ms"] = round(max(lags))
            figures[f"{name}_cpu_us"] = cost
            told(f"{name}: {accepted:.0f} a second accepted, {recorded:.0f} recorded; {going.statuses}; us {cost}")
            return going

        warm = [traffic.batch(asked.batch, "warm") for _ in range(20)]
        run("warm", warm, [], 0)
        sent += len(warm) * asked.batch
        bodies = [traffic.batch(asked.batch, f"paced-{number}") for number in range(bodies_count)]
        run("paced", bodies, paced, asked.rate / asked.batch)
        bodies = [traffic.batch(asked.batch, f"fast-{number}") for number in range(bodies_count)]
        run("fast", bodies, fast, 0)
        sent += 2 * bodies_count * asked.batch
        if asked.singles:
            run("singles", [traffic.single() for _ in range(asked.singles)], [], 0, "/api/v1/events")
            sent += asked.singles
    recorded = Event.objects.filter(source=asker.client_source).count()
    if recorded != sent or DeadLetter.objects.exists():
        raise SystemExit(f"{sent} events were sent, and {recorded} recorded; {DeadLetter.objects.count()} set aside")
    seconds, cpu = bare(bodies, asked.batch, settings.EVENT_BATCH_COUNT)
    for name in [name for name in figures if name.startswith("warm")]:
        del figures[name]
    figures |= {
        "bare_per_second": round(len(bodies) * asked.batch / seconds),
        "bare_cpu_us": round(cpu / len(bodies) / asked.batch * 1e6, 1),
        "events_per_second": figures["fast_recorded_per_second"],
        "lag_p99_ms": figures["paced_lag_p99_ms"],
        "load": os.getloadavg()[0],
    }
    figures["ratio_to_bare"] = round(figures["events_per_second"] / figures["bare_per_second"], 3)
    for name, value in figures.items():
        print(f"{name:32}{value!s:>12}")
    met = {
        "events_per_second": figures["events_per_second"] >= TARGETS["events_per_second"],
        "lag_p99_ms": figures["lag_p99_ms"] <= TARGETS["lag_p99_ms"],
    }
    print(json.dumps({"name": "ingest", "figures": figures, "targets": TARGETS, "met": met}))


if __name__ == "__main__":
    main()
