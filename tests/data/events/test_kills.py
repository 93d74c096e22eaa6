"""Redis killed, consumers killed, the database's connections cut: what was accepted is there and counted once.

The tests share one PostgreSQL, so here its connections are cut. `bin/chaos ingest` stops a real one at once, and kills
the web workers too; the slow test runs it at its real size.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import connection
from pytest_django import Settings

from apps.data.events.models import DeadLetter, Event
from apps.data.events.stream import stream_client, stream_look
from apps.data.features.selectors import features_read
from apps.foundation.accounts.api_keys import keys_forget
from apps.foundation.core.clock import now
from bin.lib.places import redis_programs
from bin.lib.servers import free_port
from bin.lib.venv import ROOT
from tests.factories import known_by
from tests.flows.conftest import wait_for
from tests.preloaded import Started, start
from tests.surfaces.api.makers import Asker, make_asker

BATCH = 50


@dataclass
class Way:
    """The way of events with a Redis and consumers of its own, all of which may be killed."""

    folder: Path
    port: int
    environment: dict[str, str]
    redis: "subprocess.Popen[bytes] | None" = None
    consumers: list[Started] = field(default_factory=list)

    def redis_start(self) -> None:
        """A Redis that has each change on its disk before it answers."""
        command = [str(redis_programs() / "redis-server"), "--port", str(self.port), "--dir", str(self.folder)]
        command += ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--bind", "127.0.0.1"]
        self.redis = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for(self._answers, seconds=30, what="Redis answers")

    @staticmethod
    def _answers() -> bool:
        try:
            return bool(stream_client().ping())
        except redis.RedisError:
            return False

    def redis_kill(self) -> None:
        assert self.redis is not None
        self.redis.kill()
        self.redis.wait(20)
        self.redis_start()

    def consumer_start(self) -> None:
        self.consumers.append(start("manage.py", "events_consume", "--count", "100", env=self.environment))

    def consumer_kill(self) -> None:
        """kill -9 to the oldest one, and another in its place."""
        self.consumer_start()
        oldest = self.consumers.pop(0)
        oldest.kill()
        oldest.wait(20)

    @staticmethod
    def connections_cut() -> None:
        """What a restart of PostgreSQL is to whoever writes: cut off, in the middle of whatever it was doing."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    def end(self) -> None:
        for consumer in self.consumers:
            consumer.kill()
            consumer.wait(20)
        if self.redis is not None:
            self.redis.kill()
            self.redis.wait(20)


@pytest.fixture
def way(own_database: str, way_settings: dict[str, str], settings: Settings, tmp_path: Path) -> Iterator[Way]:
    port = free_port()
    settings.EVENT_REDIS_URL = f"redis://127.0.0.1:{port}/0"
    more = {"EVENT_REDIS_URL": settings.EVENT_REDIS_URL, "EVENT_CLAIM_SECONDS": "1"}
    made = Way(tmp_path, port, os.environ | way_settings | more)
    keys_forget()
    made.redis_start()
    try:
        yield made
    finally:
        made.end()


def send(shop: Asker, ids: list[str]) -> None:
    """Post a batch as a client does: again and again until it is accepted."""
    calls = [{"type": "track", "event": "Product Viewed", "userId": "u", "messageId": one} for one in ids]
    until = time.monotonic() + 60
    while (status := shop.ask("POST", "/v1/batch", {"batch": calls}).status_code) != 200:
        assert status == 503
        assert time.monotonic() < until
        time.sleep(0.05)


def all_counted_once(way: Way, events: int, blows: int, seed: int) -> None:
    chance = random.Random(seed)
    shop = make_asker(kind="event_source")
    way.consumer_start()
    kinds: list[Callable[[], None]] = [way.consumer_kill, way.redis_kill, way.connections_cut]
    starts = range(0, events, BATCH)
    plan = dict(zip(chance.sample(list(starts), blows), kinds * blows, strict=False))
    sent = [f"m-{number}" for number in range(events)]
    for first in starts:
        send(shop, sent[first : first + BATCH])
        if (blow := plan.get(first)) is not None:
            blow()
    wait_for(lambda: stream_look().entries == 0, seconds=60 + events / 500, what="all is written down")

    person = known_by("external_id", f"{shop.client.code}:u")
    told: list[Any] = list(Event.objects.filter(profile=person).values_list("message_id", flat=True))
    assert sorted(told) == sorted(sent)
    assert DeadLetter.objects.count() == 0
    features = features_read(profile_ids=[person.pk], names=["product_views_30d"], as_of=now())
    assert features[person.pk]["product_views_30d"] == events


def test_a_few_events_under_blows(way: Way) -> None:
    all_counted_once(way, events=1_500, blows=3, seed=3)


@pytest.mark.slow
def test_many_events_over_http_under_many_blows() -> None:
    done = subprocess.run(
        ["bin/chaos", "ingest", "--events", "200000"],
        cwd=ROOT,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
            "PYTHON": sys.executable,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=1_800,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert all(json.loads(done.stdout.splitlines()[-1])["met"].values())
