"""500 people × 20 features in one read, beside Feast on the same Redis.

usage: bin/bench features [people] [rounds]

The same people and the same twenty values for both: Tessera reads its online copies (`features_read`), Feast its own
(`get_online_features(…).to_dict()`), in turns and each in a process of its own, on one Redis; medians over rounds. The
first reads, which connect and fill, are not counted. Then what recording events costs features: the batch step for
micro-batches of 1,000 events of as many people, as CPU of this process and of PostgreSQL's and Redis's.

Feast comes from PyPI into a virtual environment of this benchmark's own, in a temporary folder; where it can't be
installed, that is said and there is no ratio.
"""

# ruff: noqa: E402  # Django is set up before the apps are imported
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import venv
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

import redis
from django.conf import settings
from django.db import connection, transaction

from apps.data.events.contracts import RecordedEvent
from apps.data.events.models import Order
from apps.data.features.definitions import EVENT_NAMES, FEATURES
from apps.data.features.selectors import features_read
from apps.data.features.tallies import events_tally
from apps.data.profiles.models import Profile
from apps.foundation.core.clock import now

TARGET = 10.0
NAMES = [name for name, feature in FEATURES.items() if feature.kind != "items"][:20]
BATCH = 1_000

_FEAST = """
import json, sys, time
from datetime import timedelta
from pathlib import Path
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64, Int64, String

folder, redis_url, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
rows = json.loads((folder / "rows.json").read_text())
kinds = json.loads((folder / "kinds.json").read_text())
store = FeatureStore(config=RepoConfig(
    project="bench", provider="local", registry=str(folder / "registry.db"), entity_key_serialization_version=3,
    online_store={"type": "redis", "connection_string": redis_url}, offline_store={"type": "file"},
))
frame = pd.DataFrame(rows)
frame["event_timestamp"] = pd.Timestamp.now(tz="UTC")
frame.to_parquet(folder / "rows.parquet")
person = Entity(name="person", join_keys=["profile_id"], value_type=ValueType.INT64)
types = {"number": Int64, "amount": Float64, "moment": Int64, "text": String, "flag": Int64}
view = FeatureView(
    name="of_person", entities=[person], ttl=timedelta(days=1),
    schema=[Field(name="profile_id", dtype=Int64), *(Field(name=n, dtype=types[k]) for n, k in kinds.items())],
    source=FileSource(path=str(folder / "rows.parquet"), timestamp_field="event_timestamp"),
)
store.apply([person, view])
store.write_to_online_store("of_person", frame)
features = [f"of_person:{name}" for name in kinds]
asked = [{"profile_id": row["profile_id"]} for row in rows]
print("ready", flush=True)
for line in sys.stdin:
    begun, cpu = time.perf_counter(), time.process_time()
    read = store.get_online_features(features=features, entity_rows=asked).to_dict()
    took = time.perf_counter() - begun, time.process_time() - cpu
    right = all(read[name][place] == row[name] for place, row in enumerate(rows) for name in kinds)
    print(json.dumps([*took, right]), flush=True)
"""


def main() -> None:
    people = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    at = now()
    ids = people_make(people, at)
    features_read(profile_ids=ids, names=NAMES, as_of=now())
    figures: dict[str, Any] = {"people": people, "features": len(NAMES), "rounds": rounds}
    with tempfile.TemporaryDirectory() as name:
        feast = feast_start(Path(name), ids, rounds)
        ours: list[float] = []
        theirs: list[float] = []
        for _ in range(rounds):
            begun = time.perf_counter()
            features_read(profile_ids=ids, names=NAMES, as_of=now())
            ours.append(time.perf_counter() - begun)
            if feast is not None:
                took, _cpu, right = feast_read(feast)
                assert right, "Feast gives back what was written"
                theirs.append(took)
        if feast is not None and feast.stdin is not None:
            feast.stdin.close()
            feast.wait(30)
    figures["tessera_ms"] = round(median(ours) * 1000, 2)
    redis.Redis.from_url(settings.REDIS_URL).flushdb()
    begun = time.perf_counter()
    features_read(profile_ids=ids, names=NAMES, as_of=now())
    figures["tessera_emptied_ms"] = round((time.perf_counter() - begun) * 1000, 2)
    if theirs:
        figures["feast_ms"] = round(median(theirs) * 1000, 2)
        figures["speedup_over_feast"] = round(median(theirs) / median(ours), 1)
    else:
        print("Feast could not be installed: there is nothing to compare with.")
    figures |= recording(ids)
    for key, value in figures.items():
        print(f"{key:28}{value:>12}")
    targets = {"speedup_over_feast": TARGET}
    met = {"speedup_over_feast": figures.get("speedup_over_feast", 0) >= TARGET}
    print(json.dumps({"name": "features", "figures": figures, "targets": targets, "met": met}))


def people_make(count: int, at: datetime) -> list[int]:
    """People with orders and events of all kinds."""
    chance = random.Random(5)
    profiles = Profile.objects.bulk_create([Profile() for _ in range(count)])
    ids = [profile.pk for profile in profiles]
    stamp = f"{random.randrange(10**9)}"
    Order.objects.bulk_create(
        Order(
            source=stamp,
            external_id=f"{one}-{number}",
            profile_id=one,
            status="purchase",
            placed_at=at - timedelta(days=chance.randrange(400)),
            revenue=Decimal(chance.randrange(10_000)) / 100,
        )
        for one in ids
        for number in range(chance.randrange(6))
    )
    with transaction.atomic():
        events_tally(events_made(ids * 10, at, chance))
    return ids


def events_made(ids: list[int], at: datetime, chance: random.Random) -> list[RecordedEvent]:
    """An event for each id."""
    return [
        RecordedEvent(one, chance.choice(EVENT_NAMES), at - timedelta(days=chance.random() * 100), at, "", {})
        for one in ids
    ]


def feast_start(folder: Path, ids: list[int], rounds: int) -> "subprocess.Popen[str] | None":
    """A process with Feast, which has written the same values; None where it can't be installed."""
    print("installing Feast …", file=sys.stderr)
    home = folder / "venv"
    try:
        venv.create(home, with_pip=True)
        subprocess.run(
            [home / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "feast[redis]"], check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no Feast: {error}", file=sys.stderr)
        return None
    read = features_read(profile_ids=ids, names=NAMES, as_of=now())
    plain = [
        {"profile_id": one, **{name: _plain(FEATURES[name].kind, value) for name, value in read[one].items()}}
        for one in ids
    ]
    (folder / "rows.json").write_text(json.dumps(plain))
    (folder / "kinds.json").write_text(json.dumps({name: FEATURES[name].kind for name in NAMES}))
    (folder / "feast_read.py").write_text(_FEAST)
    url = urlsplit(settings.REDIS_URL)
    where = f"{url.hostname}:{url.port},db={url.path.strip('/') or 0}"
    if url.password:
        where += f",password={url.password}"
    process = subprocess.Popen(
        [home / "bin" / "python", "-W", "ignore", folder / "feast_read.py", folder, where, str(rounds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "FEAST_USAGE": "False"},
    )
    assert process.stdout is not None
    while (line := process.stdout.readline()).strip() != "ready":
        if not line:
            raise SystemExit("Feast ended before it could be asked")
    feast_read(process)
    return process


def feast_read(process: "subprocess.Popen[str]") -> tuple[float, float, bool]:
    """Seconds, seconds of CPU, and whether it read what was written."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    took, cpu, right = json.loads(process.stdout.readline())
    return took, cpu, right


def _plain(kind: str, value: Any) -> Any:
    """A value in a type that Feast has; nothing becomes -1, so that it has a value as everything else."""
    if kind == "moment":
        return -1 if value is None else int(value.timestamp() * 1_000_000)
    if kind == "amount":
        return float(value)
    if kind == "text":
        return value
    return -1 if value is None else int(value)


def recording(ids: list[int], batches: int = 30) -> dict[str, float]:
    """Microseconds of CPU for an event that the batch step costs, here and in the servers."""
    chance = random.Random(7)
    people = [profile.pk for profile in Profile.objects.bulk_create([Profile() for _ in range(20_000)])]
    at = now()
    made = [events_made(chance.sample(people, BATCH), at, chance) for _ in range(batches)]
    client = redis.Redis.from_url(settings.REDIS_URL)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    client_cpu, server_cpu, redis_cpu = time.process_time(), process_cpu(backend), redis_seconds(client)
    for events in made:
        with transaction.atomic():
            events_tally(events)
    total = batches * BATCH / 1e6
    figures = {
        "step_python_us": (time.process_time() - client_cpu) / total,
        "step_postgresql_us": (process_cpu(backend) - server_cpu) / total,
        "step_redis_us": (redis_seconds(client) - redis_cpu) / total,
    }
    figures["step_us"] = sum(figures.values())
    return {name: round(value, 1) for name, value in figures.items()}


def process_cpu(pid: int) -> float:
    """Seconds of CPU that a process of this machine has had; 0 for one of another."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def redis_seconds(client: "redis.Redis") -> float:
    told: Any = client.info("cpu")
    return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])


if __name__ == "__main__":
    main()
