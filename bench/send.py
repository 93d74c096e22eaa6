"""A whole run, from its start to the last commit, to Postfix's smtp-sink; beside the leanest loop that does such work.

usage: bin/bench send [--messages N] [--repeats N] [--workers N …] [--connections N] [--precomputed]
                      [--dkim rsa|ed25519 …] [--floor FILE] [--profile FILE]
needs: smtp-sink (Debian's postfix)

People with an address, consent to marketing and to being followed; a playbook of the sample shop (a hero by country and
segment, three products by tiers, a cap, HTML and text), approved and published. A run of it is started; Celery workers
put its audience down, decide for everybody, take the decisions up as messages, and send them: gate, links, tracked
links, List-Unsubscribe, SMTP, ledger. The rate is messages over seconds from the run's start to the moment the last
result is committed.

In turns with it runs --floor: by default `../shared/bench/lean_send.py`, not part of the project. It makes no decision,
keeps no states, signs no links, has no text. Without that file there is no ratio.

--workers may be given several times: each repeat goes through these numbers, each beside the loop with as many workers.
The first one gives the figures; `by_workers` has all. With --precomputed each repeat also sends after `manage.py
precompute`'s work was done, which is not timed; before the others Redis is emptied. With --dkim each also sends all of
it signed (RSA-2048, Ed25519). All in turns.

Last comes a run of some thousands in this process alone, for the CPU by stage. It leaves its rows in the database.
"""

# ruff: noqa: E402  # Django is set up before models are imported
import argparse
import cProfile
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

import redis
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from django.conf import settings
from django.db import connection, transaction

from apps.data.catalog.models import Item
from apps.data.consent.models import Channel, ConsentRecord
from apps.data.consent.services import consents_grant_new
from apps.data.events.models import Order, OrderLine
from apps.data.profiles.models import Profile
from apps.decisioning.audiences.models import Audience
from apps.decisioning.decisions import services as deciding
from apps.decisioning.decisions.ahead import audience_precompute
from apps.decisioning.playbooks.models import Playbook, Preparation, Run, RunBatch
from apps.decisioning.playbooks.services import (
    BATCH,
    playbook_create,
    playbook_publish,
    playbook_submit,
    run_plan,
    run_start,
)
from apps.decisioning.recommendations.services import recommendation_set_refresh
from apps.delivery.sending import gate, rendering, windows
from apps.delivery.sending.models import Message
from apps.delivery.sending.services import dispatch_take_up
from apps.foundation.accounts.roles import ROLES
from apps.foundation.core.clock import now
from apps.surfaces.console.sample_shop.campaigns import WEEKLY_SLOTS, content_make
from bench._stages import Clock
from bin.lib.servers import free_port
from bin.lib.venv import ROOT
from tests import factories
from tests.delivery import makers
from tests.delivery.makers import make_people
from tests.factories import approve, make_paths, make_purposes, make_user

FLOOR = ROOT.parent / "shared" / "bench" / "lean_send.py"
COUNTRIES = ("DE", "FR", "GB", "US")
ITEMS = 500
CHUNK = 5_000
STAGED = 4_000
"""Messages of the run that is looked at by stage."""
PATIENCE = 1_200.0
ANY_OPEN = """
SELECT EXISTS (SELECT FROM sending_message WHERE state IN ('queued', 'retry') AND dispatch_id = dispatch.id)
    OR EXISTS (SELECT FROM sending_message WHERE state IN ('claimed', 'sending') AND dispatch_id = dispatch.id)
FROM sending_dispatch AS dispatch WHERE dispatch.run_id = %s
"""
TARGETS = {"messages_per_second": 2_778, "ratio_to_floor": 0.4}
SIGNED_TARGET = 0.6
"""Of the unsigned rate, with --dkim."""
PRECOMPUTED = "precomputed"
COMPARED = ("messages_per_second", "floor_messages_per_second", "ratio_to_floor")
KINDS = {"workers": "celery", "postgres": "postgres", "redis": "redis", "sink": "smtp-sink"}
"""Kinds of processes, and what their command lines have in them."""
TICK = os.sysconf("SC_CLK_TCK")


def told(text: str) -> None:
    """Say where it is, beside what is for programs."""
    print(text, file=sys.stderr, flush=True)


# --- what there is before ---


def shop_make() -> Playbook:
    """Goods that sell, and a published playbook that shows three of them to everybody."""
    make_purposes()
    make_paths()
    items = Item.objects.bulk_create(
        [
            Item(
                sku=f"I{number}",
                title=f"Item number {number} & co",
                category=f"category {number % 20}",
                price=Decimal(number + 1) / 4,
                url=f"https://shop.example/p/{number}",
                image_url=f"https://shop.example/i/{number}.png",
            )
            for number in range(ITEMS)
        ]
    )
    buyers = Profile.objects.bulk_create([Profile(country=COUNTRIES[number % 4]) for number in range(200)])
    orders = Order.objects.bulk_create(
        [
            Order(
                source="bench",
                external_id=str(number),
                profile=buyers[number % 200],
                status="purchase",
                placed_at=now() - timedelta(hours=number % 300),
                country=buyers[number % 200].country,
            )
            for number in range(2_000)
        ]
    )
    OrderLine.objects.bulk_create(
        OrderLine(
            order=order, number=place, item=items[(at * 7 + place * 3) % ITEMS], quantity=1, unit_price=4,
            is_purchase=True,
        )
        for at, order in enumerate(orders)
        for place in range(1, 4)
    )  # fmt: skip
    recommendation_set_refresh(as_of=now())
    staff = {role.code: make_user(role.code) for role in ROLES}
    brand, template = content_make(staff, lambda what, number: None)
    publisher = staff["publisher"]
    playbook = playbook_create(
        by=publisher,
        code="bench",
        name="Bench",
        audience=Audience.objects.create(name="Everybody at the bench", rule={"all": []}, owner=publisher),
        brand=brand,
        template=template,
        slots=WEEKLY_SLOTS,
        cap_count=1000,
        cap_days=7,
        approval_path=["brand_approver"],
    )
    version = approve(playbook_submit(playbook_id=playbook.pk, by=publisher))
    playbook_publish(version_id=version.pk, by=publisher)
    playbook.refresh_from_db()
    return playbook


def people_make(size: int) -> None:
    """People who agreed to marketing, and to being followed."""
    for first in range(0, size, CHUNK):
        ids = make_people(min(CHUNK, size - first))
        consents_grant_new(
            grants=[(pk, now()) for pk in ids],
            purpose="tracking",
            channel=Channel.EMAIL,
            method=ConsentRecord.Method.API,
            source="bench",
            evidence="the benchmark says so",
        )
        for number, country in enumerate(COUNTRIES):
            Profile.objects.filter(pk__in=ids[number::4]).update(country=country)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


# --- what it costs ---


def processor_seconds() -> dict[str, float]:
    """Seconds of CPU of each kind of process on this machine so far."""
    found = dict.fromkeys(KINDS, 0.0)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            used = sum(map(int, fields[11:15])) / TICK  # with that of children that have ended
            for kind, words in (
                ("workers", "celery"),
                ("postgres", "postgres"),
                ("redis", "redis"),
                ("sink", "smtp-s"),
            ):
                if words in command:
                    found[kind] += used
                    break
    return found


def peak_megabytes(group: int) -> int:
    """The most that one process of a process group has held in memory."""
    peaks = [0]
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if os.getpgid(int(status.parent.name)) == group:
                peaks += [int(kb) for kb in re.findall(r"VmHWM:\s+(\d+)", status.read_text())]
        except OSError:
            continue
    return max(peaks) // 1024


# --- the runs ---


@contextmanager
def sink_open(port: int) -> Iterator[None]:
    """Postfix's smtp-sink, which takes everything."""
    process = subprocess.Popen(["smtp-sink", "-u", "nobody", f"127.0.0.1:{port}", "1000"])
    try:
        time.sleep(0.5)
        yield
    finally:
        process.terminate()
        process.wait(10)


def dkim_key(kind: str, domain: str) -> dict[str, str]:
    """Settings with which mail of a domain is signed by a fresh key of that kind."""
    key = Ed25519PrivateKey.generate() if kind == "ed25519" else generate_private_key(65537, 2048)
    path = Path(settings.DATA_DIR) / f"dkim-{kind}.pem"
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(*form))
    return {"DKIM_KEYS": json.dumps({domain: {kind: str(path)}})}


@contextmanager
def workers_open(number: int, smtp_url: str, more: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A Celery worker with so many processes, on the queues that a run needs. more: of its environment."""
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "-c", str(number), "-n", "bench@%h"]
    command += ["-Q", "decide,render,send,track,maintenance", "-l", "WARNING", "--without-gossip", "--without-mingle"]
    environment = {**os.environ, "SMTP_URL": smtp_url, "DATA_DIR": str(settings.DATA_DIR), **(more or {})}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        time.sleep(6)
        yield process
    finally:
        process.terminate()
        process.wait(120)


def anything_open(run_id: int) -> bool:
    """Whether a message of a run is not at its end. By the indexes of such messages: it is asked ten times a second,
    and a look through the ledger each time would be a good part of what is measured."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        cursor.execute(ANY_OPEN, [run_id])
        found = cursor.fetchone()
    return found is None or bool(found[0])


def run_timed(playbook: Playbook, size: int) -> float:
    """Seconds from the start of a run to the moment the last of its results is committed."""
    began = time.perf_counter()
    run = run_start(playbook_id=playbook.pk, occasion_key=f"bench-{time.time_ns()}", trigger="hand")
    while time.perf_counter() - began < PATIENCE:
        time.sleep(0.1)
        run.refresh_from_db()
        if run.state == Run.State.DECIDED and not anything_open(run.pk):
            seconds = time.perf_counter() - began
            if Message.objects.filter(dispatch__run_id=run.pk, state="sent").count() >= size:
                return seconds
    states = Counter(Message.objects.filter(dispatch__run_id=run.pk).values_list("state", flat=True))
    raise SystemExit(f"of {size} messages not all were sent: {dict(states)}")


def floor_timed(file: Path, size: int, workers: int) -> float:
    """Messages a second of the leanest loop."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # its PostgreSQL runs as somebody else
        done = subprocess.run(
            [sys.executable, str(file), str(size), str(workers)],
            cwd=folder, env={**os.environ, "TMPDIR": folder, "XDG_RUNTIME_DIR": folder}, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
    found = re.search(r"([\d.]+) msg/s", done.stdout)
    if found is None:
        raise SystemExit(f"{file} does not say how fast it was")
    return float(found.group(1))


# --- where the time goes ---


def stages_watch(clock: Clock) -> None:
    """Time the parts of a run."""
    clock.time(deciding, "people_decide", "decide: read, weigh")
    clock.time(deciding, "decide", "decide: the engine")
    clock.time(deciding, "_row", "decide: seal")
    clock.time(deciding, "copy_rows", "decide: COPY")
    clock.time(deciding, "vault_complete", "decide: keys")
    clock.time(windows, "messages_claim", "claim: rows, keys, open, addresses")
    clock.time(windows, "messages_prepare", "prepare: SHA-256, the rest")
    clock.time(rendering, "render", "prepare: render")
    clock.time(rendering, "letter_dotted", "prepare: MIME")
    clock.time(rendering, "links_named", "prepare: links")
    clock.time(rendering, "trace_url", "prepare: links")
    clock.time(windows, "gate_pass", "gate: the rest")
    clock.time(gate, "gate_lock", "gate: lock")
    clock.time(gate, "gate_read_followed", "gate: read")
    clock.time(gate, "addresses_again", "gate: addresses")
    clock.time(gate, "_caps_hold", "gate: caps")
    clock.time(gate, "_into_sending", "gate: to sending, with the intent")
    clock.time(windows, "hand_over_all", "hand over")
    clock.time(windows, "results_record", "record")


def stages_show(playbook: Playbook, profile: str) -> dict[str, int]:
    """One run in this process, by stage; microseconds of CPU a message. profile: a file for what cProfile saw."""
    clock = Clock()
    if not profile:
        stages_watch(clock)
    run = run_start(playbook_id=playbook.pk, occasion_key=f"stages-{time.time_ns()}", trigger="hand")
    run_plan(run_id=run.pk)
    RunBatch.objects.filter(run=run, number__gte=STAGED // BATCH).delete()  # the last look is at fewer people
    profiler = cProfile.Profile()
    before, cpu = processor_seconds()["postgres"], time.process_time()
    if profile:
        profiler.enable()
    deciding.run_decide(run_id=run.pk)
    decided = time.process_time() - cpu
    dispatch_take_up(run_id=run.pk)
    windows.messages_send(seconds=PATIENCE)
    if profile:
        profiler.disable()
        profiler.dump_stats(profile)
    cpu = time.process_time() - cpu
    postgres = processor_seconds()["postgres"] - before
    size = Message.objects.filter(dispatch__run_id=run.pk, state="sent").count()
    stages = {stage: round(seconds / size * 1e6) for stage, seconds in clock.cpu.items()}
    told(f"\n{size} messages in one process: {decided / size * 1e6:.0f} us of CPU to decide,"
         f" {(cpu - decided) / size * 1e6:.0f} to send; PostgreSQL {postgres / size * 1e6:.0f}\n")  # fmt: skip
    told(f"{'stage':40}{'us wall':>10}{'us CPU':>10}")
    for stage in sorted(stages, key=stages.__getitem__, reverse=True):
        told(f"{stage:40}{clock.wall[stage] / size * 1e6:10.0f}{stages[stage]:10}")
    return {**stages, "decide, all": round(decided / size * 1e6), "send, all": round((cpu - decided) / size * 1e6)}


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="bin/bench send")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, action="append", help="2 unless given; may be given several times")
    parser.add_argument("--connections", type=int, default=0)
    parser.add_argument("--precomputed", action="store_true", help="also send after precomputing")
    parser.add_argument("--dkim", action="append", choices=("rsa", "ed25519"), default=[], help="also send it signed")
    parser.add_argument("--floor", type=Path, default=FLOOR)
    parser.add_argument("--profile", default="", help="write what cProfile saw of one run into this file")
    return parser.parse_args()


def compared(
    rates: Mapping[tuple[int, str], Sequence[float]], floors: Sequence[float], workers: int, kinds: Iterable[str]
) -> dict[str, Any]:
    """What so many workers came to: medians, each run of the plain send, and the other kinds beside it."""
    plain = median(rates[workers, "plain"])
    return {
        "messages_per_second": round(plain),
        "floor_messages_per_second": round(median(floors)) if floors else None,
        "ratio_to_floor": round(plain / median(floors), 3) if floors else None,
        "runs": [round(rate) for rate in rates[workers, "plain"]],
        **{f"{kind}_to_plain": round(median(rates[workers, kind]) / plain, 3) for kind in kinds if kind != "plain"},
    }


def cpu_of(costs: Sequence[Mapping[str, float]], messages: int) -> dict[str, int]:
    """Microseconds of CPU a message by kind of process, the median of some runs."""
    return {kind: round(median(cost[kind] for cost in costs) / messages * 1e6) for kind in KINDS if costs}


def main() -> None:
    """Measure and print."""
    asked = arguments()
    settings.DATA_DIR = Path(tempfile.mkdtemp())
    start = time.time_ns() % 10**9  # the makers number what they make; this database may have some already
    makers._number, factories._number = count(start), count(start)
    told(f"making {asked.messages} people")
    playbook = shop_make()
    people_make(asked.messages)
    port = free_port()
    url = f"smtp://127.0.0.1:{port}" + (f"?connections={asked.connections}" if asked.connections else "")
    settings.SMTP_URL = url
    several = asked.workers or [2]
    first = several[0]
    rates: defaultdict[tuple[int, str], list[float]] = defaultdict(list)
    floors: defaultdict[int, list[float]] = defaultdict(list)
    costs: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    memory = 0
    domain = playbook.brand.from_email.rpartition("@")[2]
    kinds: dict[str, dict[str, str]] = {"plain": {}}
    kinds |= {PRECOMPUTED: {}} if asked.precomputed else {}
    kinds |= {kind: dkim_key(kind, domain) for kind in asked.dkim}
    if not asked.floor.is_file():
        told(f"no ratio: there is no {asked.floor}")
    with sink_open(port):
        for number in range(asked.repeats):
            for workers in several:
                if asked.floor.is_file():
                    floors[workers].append(floor_timed(asked.floor, asked.messages, workers))
                for kind, environment in kinds.items():
                    redis.Redis.from_url(settings.CELERY_BROKER_URL).flushdb()
                    Preparation.objects.all().delete()
                    if kind == PRECOMPUTED:
                        audience_precompute(playbook=playbook.code)
                    with workers_open(workers, url, environment) as group:
                        before = processor_seconds()
                        rates[workers, kind].append(asked.messages / run_timed(playbook, asked.messages))
                        after = processor_seconds()
                        if workers == first:
                            costs[kind].append({name: after[name] - before[name] for name in KINDS})
                        if (workers, kind) == (first, "plain"):
                            memory = max(memory, peak_megabytes(group.pid))
                    told(f"{number + 1}, {workers} workers, {kind}: {rates[workers, kind][-1]:.0f} a second")
                if floors[workers]:
                    told(f"{number + 1}, {workers} workers, the floor: {floors[workers][-1]:.0f} a second")
        stages = stages_show(playbook, asked.profile)
    by_workers = {workers: compared(rates, floors[workers], workers, kinds) for workers in several if asked.repeats}
    figures: dict[str, Any] = {
        "messages": asked.messages,
        "workers": first,
        **{name: by_workers.get(first, {}).get(name) for name in COMPARED},
        "by_workers": by_workers,
        "cpu_us_by_process": cpu_of(costs["plain"], asked.messages),
        **({"cpu_us_precomputed": cpu_of(costs[PRECOMPUTED], asked.messages)} if asked.precomputed else {}),
        "cpu_us_by_stage": stages,
        "signed_to_unsigned": {kind: by_workers[first][f"{kind}_to_plain"] for kind in asked.dkim if by_workers},
        "peak_mb": memory,
        "load": os.getloadavg()[0],
        "database": urlsplit(os.environ["DATABASE_URL"]).hostname,
    }
    targets: dict[str, Any] = {**TARGETS, **({"signed_to_unsigned": SIGNED_TARGET} if asked.dkim else {})}
    met = {name: (figures[name] or 0) >= target for name, target in TARGETS.items()}
    if asked.dkim:
        met["signed_to_unsigned"] = all(ratio >= SIGNED_TARGET for ratio in figures["signed_to_unsigned"].values())
    print(json.dumps({"name": "send", "figures": figures, "targets": targets, "met": met}))


if __name__ == "__main__":
    main()
