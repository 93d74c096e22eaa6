"""What it saves at a send to have ready what can be made before it.

usage: bin/bench precompute [--people N] [--rounds N]

Rendering: 200 people of the benchmark `render`, who share nothing. In turns, the frame of each (all of a message but
names, values and links) is made anew, found in the process, and fetched from Redis, 20 in one MGET as a sender has
them, and read; then each message is filled, and the same bytes come out.

Deciding: people of the benchmark `send`, half of whom bought two things that nobody else bought together. In turns,
runs for the same people: with nothing kept of what was chosen (off); with an empty memory, as a process begins (made);
with the memory of a run before (memory); with an empty memory and all of it in Redis, as `manage.py precompute` leaves
it (prepared). The first run with nobody's features in Redis is told apart (features made). All give the same answers.

Microseconds of CPU of this process, and of PostgreSQL's and Redis's where it says so.
"""

import argparse
import json
from collections.abc import Callable
from datetime import timedelta
from itertools import cycle, islice
from statistics import median
from time import process_time, process_time_ns, time_ns
from typing import Any
from unittest.mock import patch

from bench.send import people_make, processor_seconds, shop_make, told  # sets Django up  # isort: skip

import orjson
import redis
from django.conf import settings
from django.db import connection
from django.db.models import Sum

from apps.data.catalog.models import Item
from apps.data.consent.links import preferences_url, unsubscribe_url
from apps.data.events.models import Order, OrderLine
from apps.data.profiles.models import Profile
from apps.decisioning.content import rendering
from apps.decisioning.content.rendering import render
from apps.decisioning.content.variants import Framed, Frames, frames_join
from apps.decisioning.decisions import choices, reading, services
from apps.decisioning.decisions.ahead import audience_precompute
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.sealing import decisions_open
from apps.decisioning.playbooks.models import Playbook, Preparation, Run
from apps.decisioning.playbooks.services import BATCH, run_plan, run_start
from apps.foundation.core.clock import now
from bench import render as rendered

WINDOW = 20
LIFETIME = 5 * 3600


# --- rendering ---


def frames_write(frames: Frames) -> bytes:
    parts = (frames.subject, frames.html, frames.text)
    return orjson.dumps([[one.texts, one.late, dict(one.asked), one.size] for one in parts])


def frames_read(kept: bytes) -> Frames:
    return frames_join(
        *(Framed(tuple(texts), tuple(late), asked, size) for texts, late, asked, size in orjson.loads(kept))
    )


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
                frames[keys[at]] = frames_read(value)
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
    """Two items bought by each of these people, of each two people not the same two."""
    items = list(Item.objects.order_by("pk").values_list("pk", flat=True))
    orders = Order.objects.bulk_create(
        Order(source="own", external_id=str(pk), profile_id=pk, status="purchase", placed_at=now() - timedelta(hours=2))
        for pk in ids
    )
    OrderLine.objects.bulk_create(
        OrderLine(order=order, number=at, item_id=items[(place + at * (place // len(items) + 1)) % len(items)],
                  quantity=1, unit_price=4, is_purchase=True)
        for place, order in enumerate(orders)
        for at in range(2)
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def run_made(playbook: Playbook) -> tuple[Run, dict[str, float]]:
    """A run, decided, and the microseconds of CPU that a person took, by whom."""
    run = run_start(playbook_id=playbook.pk, occasion_key=f"bench-{time_ns()}", trigger="hand")
    run_plan(run_id=run.pk)
    run.refresh_from_db()
    before, began = processor_seconds(), process_time()
    services.run_decide(run_id=run.pk)
    own, after = process_time() - began, processor_seconds()
    used = {"": own, **{f"_{one}": after[one] - before[one] for one in ("postgres", "redis")}}
    return run, {name: seconds / run.people * 1e6 for name, seconds in used.items()}


def deciding_measure(client: "redis.Redis", people: int, rounds: int) -> dict[str, float]:
    """Microseconds of CPU a person for deciding, by what is ready; and what that takes."""
    playbook = shop_make()
    people_make(people)
    orders_make(list(Profile.objects.order_by("-pk").values_list("pk", flat=True)[: people // 2]))
    _, first = run_made(playbook)
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in ("off", "made", "memory", "prepared")}
    ready: dict[str, float] = {}
    answers: dict[str, list[Any]] = {}
    off = patch.object(reading, "scene_of", lambda *args, **kwargs: b"")
    preparing = 0.0
    for number in range(rounds):
        for name in islice(cycle(taken), number % 4, number % 4 + 4):
            if name == "off":
                off.start()
            elif name == "memory":
                run_made(playbook)
            elif name == "prepared":
                client.delete(*client.keys("choice:*"), "nothing")
                choices._choices.clear()
                began = process_time()
                audience_precompute(playbook=playbook.code)
                preparing = process_time() - began
            if name != "memory":
                choices._choices.clear()
            run, used = run_made(playbook)
            if name == "off":
                off.stop()
            taken[name].append(used)
            found = run.batches.aggregate(chosen=Sum("chosen"), ready=Sum("ready"))
            ready[name] = round((found["ready"] or 0) / found["chosen"], 3)
            rows = Decision.objects.filter(run=run, outcome="send").order_by("profile_id")
            answers[name] = [one and one.inputs for one in decisions_open(rows[:BATCH]).values()]
            assert answers[name] == answers.get("off", answers[name])
            Preparation.objects.all().delete()
    keys = client.keys("choice:*")
    return {
        "features_made_us": round(first[""], 1),
        **{
            f"decide_{name}{of}_us": round(median(one[of] for one in runs), 1)
            for name, runs in taken.items()
            for of in ("", "_postgres", "_redis")
        },
        **{f"ready_{name}": share for name, share in ready.items()},
        "kinds_of_people": len(keys),
        "choice_bytes": round(sum(client.strlen(key) for key in keys) / max(len(keys), 1)),
        "preparing_us": round(preparing / people * 1e6, 1),
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
    figures |= deciding_measure(client, asked.people, max(1, asked.rounds // 3))
    figures["prepared_to_off"] = round(figures["decide_prepared_us"] / figures["decide_off_us"], 3)
    figures["fetched_to_anew"] = round(figures["render_fetched_us"] / figures["render_anew_us"], 3)
    print(json.dumps({"name": "precompute", "figures": figures, "targets": {}, "met": {}}))


if __name__ == "__main__":
    main()
