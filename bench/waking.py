"""How soon an event that came by HTTP has begun a journey, been decided about, and sent its message.

usage: bin/bench waking [--events N] [--rate N] [--others N] [--workers N]

A playbook waits for an event. Each of N people does it once, posted one by one to `/api/v1/events` of granian's WSGI
workers; `manage.py events_consume` writes it down, and Celery's workers look, begin, decide and send, woken as in
production, with beat beside them for what is dropped. Counted from the answer of the HTTP request until the row is
there to be read, looked for every 20 ms. --others: events a second that nobody waits for, in batches beside them.

It leaves its rows in the database.
"""

# ruff: noqa: E402  # Django is set up before models are imported
import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from statistics import median
from typing import Any
from uuid import uuid4

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

import orjson
from django.db import connection

from apps.decisioning.playbooks.services import playbook_update
from apps.foundation.core.clock import now
from bench.decide import web
from bench.ingest import consumers, quantile, told
from bin.lib.servers import free_port
from bin.lib.venv import ROOT
from tests import factories
from tests.decisioning.playbooks.travelling import MESSAGE, make_steps, publish
from tests.surfaces.api.makers import make_asker

TARGETS = {"decided_p99_ms": 1_000}
LOOK_SECONDS = 0.02
PATIENCE = 120.0
NAME = "Basket Left"
OTHERS = 50
"""Events in a batch of those that nobody waits for."""
STAGES = {
    "begun": "SELECT profile_id FROM playbooks_journey WHERE profile_id = ANY(%s)",
    "decided": "SELECT profile_id FROM decisions_decision WHERE profile_id = ANY(%s)",
    "sent": "SELECT profile_id FROM sending_message WHERE profile_id = ANY(%s) AND state = 'sent'",
}


@contextmanager
def workers(number: int, smtp_port: int, folder: str) -> Iterator[None]:
    """Celery's workers with beat, and a mail server that takes everything, until the block ends."""
    celery = [sys.executable, "-m", "celery", "-A", "config", "worker", "-B", "-c", str(number), "-n", "waking@%h"]
    celery += ["-s", f"{folder}/beat", "-Q", "decide,render,send,track,maintenance", "-l", "ERROR"]
    sink = subprocess.Popen([sys.executable, str(ROOT / "bench" / "_sink.py"), str(smtp_port)])
    environment = {**os.environ, "SMTP_URL": f"smtp://127.0.0.1:{smtp_port}"}
    running = subprocess.Popen(celery, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        time.sleep(8)
        yield
    finally:
        for one in (running, sink):
            one.terminate()
            one.wait(60)


class Poster:
    """A connection that posts events."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def post(self, *events: dict[str, Any]) -> float:
        """When it was answered, on the machine's monotonic clock."""
        self._connection.request("POST", "/api/v1/events", orjson.dumps({"events": events}), self._headers)
        answer = self._connection.getresponse()
        at = time.monotonic()
        answer.read()
        if answer.status != 202:
            raise SystemExit(f"an event was answered with {answer.status}")
        return at


class Watch(threading.Thread):
    """Notes when each person is first seen at each stage."""

    def __init__(self, people: list[int]) -> None:
        super().__init__(daemon=True)
        self.seen: dict[str, dict[int, float]] = {stage: {} for stage in STAGES}
        self._people = people

    def run(self) -> None:
        until = time.monotonic() + PATIENCE
        while any(len(seen) < len(self._people) for seen in self.seen.values()) and time.monotonic() < until:
            for stage, statement in STAGES.items():
                missing = [one for one in self._people if one not in self.seen[stage]]
                with connection.cursor() as cursor:
                    cursor.execute(statement, [missing])
                    found = cursor.fetchall()
                at = time.monotonic()
                self.seen[stage] |= {row[0]: at for row in found}
            time.sleep(LOOK_SECONDS)


def others_post(poster: Poster, rate: int, stopping: threading.Event) -> None:
    """Events that nobody waits for, at a rate, until told to stop."""
    begun, sent = time.monotonic(), 0
    while not stopping.is_set():
        poster.post(*({"id": str(uuid4()), "name": "Page Viewed", "user_id": f"o-{n}"} for n in range(OTHERS)))
        sent += OTHERS
        stopping.wait(max(0.0, begun + sent / rate - time.monotonic()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bin/bench waking", description=str(__doc__).splitlines()[0])
    parser.add_argument("--events", type=int, default=300)
    parser.add_argument("--rate", type=int, default=10, help="events a second that the playbook waits for")
    parser.add_argument("--others", type=int, default=200, help="events a second that nobody waits for")
    parser.add_argument("--workers", type=int, default=2, help="processes of Celery's worker")
    asked = parser.parse_args()
    factories._number = count(time.time_ns() % 10**9)  # this database may have some of the makers' already
    asker = make_asker("events:write", per_minute=100_000_000)
    playbook = factories.make_playbook(trigger="event", event_name=NAME, again_after_days=0)
    playbook_update(playbook_id=playbook.pk, by=playbook.owner, steps=make_steps(playbook, [{**MESSAGE, "id": "one"}]))
    publish(playbook, now())
    people = [factories.make_profile(consent=("marketing",)).pk for _ in range(asked.events + 5)]
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    port, smtp_port = free_port(), free_port()
    accepted: dict[int, float] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        web(port, 2),
        consumers(1),
        workers(asked.workers, smtp_port, folder),
    ):
        poster, stopping = Poster(port, asker.key), threading.Event()
        if asked.others:
            threading.Thread(
                target=others_post, args=(Poster(port, asker.key), asked.others, stopping), daemon=True
            ).start()
        for person in people[:5]:  # whatever is made the first time
            poster.post({"id": str(uuid4()), "name": NAME, "profile_id": person})
            time.sleep(1)
        told("warm")
        watch = Watch(people[5:])
        watch.start()
        begun = time.monotonic()
        for number, person in enumerate(people[5:]):
            time.sleep(max(0.0, begun + number / asked.rate - time.monotonic()))
            accepted[person] = poster.post({"id": str(uuid4()), "name": NAME, "profile_id": person})
        watch.join()
        stopping.set()
    figures: dict[str, Any] = {name: getattr(asked, name) for name in ("events", "rate", "others", "workers")}
    for stage, seen in watch.seen.items():
        if len(seen) < asked.events:
            raise SystemExit(f"{asked.events - len(seen)} of {asked.events} were not {stage} within {PATIENCE:.0f} s")
        took = [(at - accepted[person]) * 1000 for person, at in seen.items()]
        figures[f"{stage}_p50_ms"] = round(median(took))
        figures[f"{stage}_p99_ms"] = round(quantile(took, 0.99))
        figures[f"{stage}_most_ms"] = round(max(took))
    figures["load"] = os.getloadavg()[0]
    for name, value in figures.items():
        print(f"{name:32}{value!s:>12}")
    met = {name: figures[name] <= most for name, most in TARGETS.items()}
    print(json.dumps({"name": "waking", "figures": figures, "targets": TARGETS, "met": met}))


if __name__ == "__main__":
    main()
