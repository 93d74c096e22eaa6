"""What it would save at a send to keep rendered messages, or what was chosen for each person, ready in Redis.

usage: bin/bench precompute [--people N] [--rounds N]

Rendering: 200 people of the benchmark `render`, who share nothing. In turns, the frame of each (all of a message but
names, values and links) is made anew, found in the process, and fetched from Redis, 20 in one MGET as a sender has
them, and read; then each message is filled, and the same bytes come out.

Deciding: 10,000 people of the benchmark `send`, half of whom bought something. A run is decided by stage; beside it,
what was chosen for each (blocks, tiers, items, reasons, candidates) is fetched from Redis, 500 at once, read, and its
items are looked up in the catalog once more: what a send would do instead of ranking and choosing.

Features: in turns, runs for the same people with nobody's features in Redis, and with everybody's, as
`manage.py precompute` leaves them. Microseconds of CPU of this process, and of PostgreSQL's where it says so.
"""

import argparse
import json
from collections.abc import Callable
from datetime import timedelta
from itertools import cycle, islice
from statistics import median
from time import process_time, process_time_ns, time_ns
from typing import Any

from bench.send import people_make, processor_seconds, shop_make, told  # sets Django up  # isort: skip

import orjson
import redis
from django.conf import settings
from django.db import connection

from apps.data.catalog.models import Item
from apps.data.consent.links import preferences_url, unsubscribe_url
from apps.data.events.models import Order, OrderLine
from apps.data.profiles.models import Profile
from apps.decisioning.content import rendering
from apps.decisioning.content.rendering import render
from apps.decisioning.content.variants import Framed
from apps.decisioning.decisions import reading, services
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.sealing import decisions_open
from apps.decisioning.playbooks.models import Playbook, Run
from apps.decisioning.playbooks.services import BATCH, run_plan, run_start
from apps.foundation.core.clock import now
from bench import render as rendered
from bench._stages import Clock

WINDOW = 20
LIFETIME = 5 * 3600
CHOOSING = ("facts_load", "features_read", "candidates_for", "_candidates_read", "decide", "person_pack")


# --- rendering ---


def frames_write(frames: tuple[Framed, ...]) -> bytes:
    return orjson.dumps([[one.texts, one.late, dict(one.asked)] for one in frames])


def frames_read(kept: bytes) -> tuple[Framed, ...]:
    return tuple(Framed(tuple(texts), tuple(late), asked) for texts, late, asked in orjson.loads(kept))


def rendering_measure(client: "redis.Redis", rounds: int) -> dict[str, float]:
    """Microseconds of CPU a message: its frame made anew, found in the process, fetched from Redis."""
    compiled, people = rendered.compiled_make(), rendered.people_make()
    contexts = [
        {
            **inputs,
            "links": {
                "unsubscribe": unsubscribe_url(profile_id=one, message_id=message_id),
                "preferences": preferences_url(profile_id=one, message_id=message_id),
            },
        }
        for one, message_id, inputs in people
    ]
    names, frames = [f"bench:frame:{place}" for place in range(len(contexts))], rendering._frames
    keys: list[Any] = []
    wanted = []
    for name, context in zip(names, contexts, strict=True):
        frames.clear()
        wanted.append(render(compiled, context))
        [(key, framed)] = frames.items()
        keys.append(key)
        client.set(name, frames_write(framed), ex=LIFETIME)

    def anew() -> list[Any]:
        made = []
        for context in contexts:
            frames.clear()
            made.append(render(compiled, context))
        return made

    def kept() -> list[Any]:
        return [render(compiled, context) for context in contexts]

    def fetched() -> list[Any]:
        made = []
        frames.clear()
        for first in range(0, len(names), WINDOW):
            for at, value in enumerate(client.mget(names[first : first + WINDOW]), first):
                assert isinstance(value, bytes)
                subject, html, text = frames_read(value)
                frames[keys[at]] = subject, html, text
            made += [render(compiled, context) for context in contexts[first : first + WINDOW]]
        return made

    sides: dict[str, Callable[[], list[Any]]] = {"anew": anew, "kept": kept, "fetched": fetched}
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in islice(cycle(sides), number % 3, number % 3 + 3):
            if name == "kept":
                kept()  # all are there
            before = process_time_ns()
            made = sides[name]()
            taken[name].append((process_time_ns() - before) / 1000 / len(contexts))
            assert [str(one.html_pieces) for one in made] == [str(one.html_pieces) for one in wanted]
    size = sum(client.strlen(name) for name in names) / len(names)
    return {**{f"render_{name}_us": round(median(one), 1) for name, one in taken.items()}, "frame_bytes": round(size)}


# --- deciding ---


def orders_make(ids: list[int]) -> None:
    """Three items bought by each of these people."""
    items = list(Item.objects.order_by("pk").values_list("pk", flat=True))
    orders = Order.objects.bulk_create(
        Order(source="own", external_id=str(pk), profile_id=pk, status="purchase", placed_at=now() - timedelta(hours=2))
        for pk in ids
    )
    OrderLine.objects.bulk_create(
        OrderLine(order=order, number=at, item_id=items[(place * 7 + at * 3) % len(items)], quantity=1, unit_price=4,
                  is_purchase=True)
        for place, order in enumerate(orders)
        for at in range(1, 4)
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def run_made(playbook: Playbook) -> tuple[Run, float]:
    """A run, decided, and the microseconds of CPU that a person took."""
    run = run_start(playbook_id=playbook.pk, occasion_key=f"bench-{time_ns()}", trigger="hand")
    run_plan(run_id=run.pk)
    run.refresh_from_db()
    began = process_time()
    services.run_decide(run_id=run.pk)
    return run, (process_time() - began) / run.people * 1e6


def features_measure(client: "redis.Redis", playbook: Playbook, rounds: int) -> dict[str, float]:
    """Microseconds of CPU a person, with features made while it is decided, and with features found."""
    taken: dict[str, list[tuple[float, float]]] = {"made": [], "found": []}
    for _ in range(rounds):
        for name, runs in taken.items():
            if name == "made":
                client.delete(*client.keys("features:[0-9]*"))
            before = processor_seconds()["postgres"]
            run, own = run_made(playbook)
            postgres = processor_seconds()["postgres"] - before
            runs.append((own, postgres / run.people * 1e6))
    return {
        f"features_{name}_{of}us": round(median(one[place] for one in runs), 1)
        for name, runs in taken.items()
        for place, of in enumerate(("", "postgres_"))
    }


def deciding_measure(client: "redis.Redis", people: int, rounds: int) -> dict[str, float]:
    """Microseconds of CPU a person: deciding in all, what could be kept of it, and fetching that."""
    playbook = shop_make()
    people_make(people)
    orders_make(list(Profile.objects.order_by("-pk").values_list("pk", flat=True)[: people // 2]))
    run_made(playbook)  # everything is in memory, and the features of everybody in Redis
    features = features_measure(client, playbook, rounds)
    whole = [run_made(playbook)[1] for _ in range(rounds)]
    clock = Clock()
    for owner in (reading, services):
        for name in CHOOSING:
            if hasattr(owner, name):
                clock.time(owner, name, name)
    run, timed = run_made(playbook)
    size = Decision.objects.filter(run=run).count()
    choosing = sum(clock.cpu[name] for name in CHOOSING) / size * 1e6
    rows = list(Decision.objects.filter(run=run, outcome="send").order_by("-pk")[:BATCH])
    opened = decisions_open(rows)
    names = [f"bench:chosen:{row.profile_id}" for row in rows]
    for name, row in zip(names, rows, strict=True):
        kept = opened[row.pk]
        assert kept is not None
        client.set(name, orjson.dumps([kept.inputs["slots"], kept.reasons, kept.seen]), ex=LIFETIME)
    fetching = []
    for _ in range(rounds * 10):
        began = process_time()
        read = [orjson.loads(value) for value in client.mget(names) if value is not None]
        skus = {item["sku"] for slots, *_ in read for slot in slots.values() for item in slot.get("items", ())}
        dict(Item.objects.filter(sku__in=skus).values_list("sku", "in_stock"))
        fetching.append((process_time() - began) / len(rows) * 1e6)
    return {
        **features,
        "decide_us": round(median(whole), 1),
        "decide_timed_us": round(timed, 1),
        "choosing_us": round(choosing, 1),
        "fetching_instead_us": round(median(fetching), 1),
        "saved_at_most_of_deciding": round((choosing - median(fetching)) / timed, 3),
        "chosen_bytes": round(sum(client.strlen(name) for name in names) / len(names)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    client = redis.Redis.from_url(settings.REDIS_URL)
    told("rendering …")
    figures = rendering_measure(client, asked.rounds)
    told("deciding …")
    figures |= deciding_measure(client, asked.people, max(1, asked.rounds // 5))
    figures["fetched_to_anew"] = round(figures["render_fetched_us"] / figures["render_anew_us"], 3)
    print(json.dumps({"name": "precompute", "figures": figures, "targets": {}, "met": {}}))


if __name__ == "__main__":
    main()
