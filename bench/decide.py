"""Decisions over HTTP: how fast, how many, and whether none comes later than 200 ms while something is away.

usage: bin/bench decide [--people N] [--seconds N] [--workers N]

100,000 people who agreed to be shown marketing on pages; a playbook with three slots, each with lists of 12 candidates
(what goes with what was bought, best sellers of category, country and shop) and a rule; granian with WSGI workers, one
request a decision, each kept. What people did is in Redis already, as in an installation that runs. First 500 a second,
then as many as there can be (16 connections); times count from when a request was due. Then 50 a second, over
connections to PostgreSQL and Redis that are cut or hang.

Server, load, PostgreSQL and Redis share the machine. It leaves its rows in the database.
"""

# ruff: noqa: E402  # Django is set up before models are imported
import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

from django.db import connection

from apps.data.catalog.models import Item
from apps.data.consent.models import Channel, ConsentRecord
from apps.data.consent.services import consents_grant_new
from apps.data.events.models import Order, OrderLine
from apps.data.features.online import copies_fill
from apps.data.profiles.models import Profile
from apps.data.profiles.vault import keys_make
from apps.decisioning.audiences.models import Audience
from apps.decisioning.content.services import block_create, block_type_create, template_create
from apps.decisioning.decisions.models import Answer
from apps.decisioning.decisions.replay import answer_replay
from apps.decisioning.playbooks.services import playbook_create, playbook_publish, playbook_submit
from apps.decisioning.recommendations.services import recommendation_set_refresh
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from bin.lib.servers import free_port
from bin.lib.venv import ROOT
from tests.factories import approve, make_brand, make_paths, make_purposes, make_user
from tests.surfaces.api.makers import make_asker
from tests.wires import Wire

COUNTRIES = ("DE", "FR", "GB", "US")
SLOTS = ("first", "second", "third")
ITEMS = 500
CHUNK = 10_000
TARGETS = {"p99_ms": 20, "decisions_per_second": 1_000, "late_while_away": 0}


def told(text: str) -> None:
    """Say where it is, beside what is for programs."""
    print(text, file=sys.stderr, flush=True)


def people_make(size: int) -> tuple[int, int]:
    """People who agreed, with keys, each fifth with an order. Returns the first and the last id."""
    items = list(Item.objects.values_list("pk", flat=True))
    first = last = 0
    for start in range(0, size, CHUNK):
        people = Profile.objects.bulk_create(
            Profile(country=COUNTRIES[at % 4], first_name=f"Person {at}") for at in range(min(CHUNK, size - start))
        )
        ids = [person.pk for person in people]
        first, last = first or ids[0], ids[-1]
        consents_grant_new(
            grants=[(pk, now()) for pk in ids],
            purpose="marketing",
            channel=Channel.WEB,
            method=ConsentRecord.Method.API,
            source="bench",
            evidence="the benchmark says so",
        )
        keys_make(ids)
        orders = Order.objects.bulk_create(
            Order(
                source="bench",
                external_id=str(pk),
                profile_id=pk,
                status="purchase",
                placed_at=now() - timedelta(hours=pk % 300),
                country=COUNTRIES[pk % 4],
            )
            for pk in ids[::5]
        )
        OrderLine.objects.bulk_create(
            OrderLine(
                order=order,
                number=place,
                item_id=items[(at * 7 + place * 3) % ITEMS],
                quantity=1,
                unit_price=4,
                is_purchase=True,
            )
            for at, order in enumerate(orders)
            for place in (1, 2, 3)
        )
    return first, last


def shop_make() -> None:
    """Goods, and a published playbook of three slots."""
    make_purposes()
    make_paths()
    Item.objects.bulk_create(
        Item(
            sku=f"I{number}",
            title=f"Item number {number} & co",
            category=f"category {number % 20}",
            price=Decimal(number + 1) / 4,
            url=f"https://tea.example/p/{number}",
            image_url=f"https://tea.example/i/{number}.png",
        )
        for number in range(ITEMS)
    )
    root = User.objects.create_superuser("bench@staff.example", "a long enough password")
    section = "<mj-section><mj-column>{}</mj-column></mj-section>"
    words = block_type_create(
        by=root,
        code="words",
        name="Words",
        fields=[{"name": "words", "label": "Words", "kind": "text", "max_length": 200}],
        layout=section.format("<mj-text>[[ words ]]</mj-text>"),
        text_layout="[[ words ]]",
    )
    goods = block_type_create(
        by=root,
        code="goods",
        name="Goods",
        fields=[{"name": "items", "label": "Items", "kind": "products"}],
        layout=section.format("{% for item in [[ items ]] %}<mj-text>{{ item.title }}</mj-text>{% endfor %}"),
        text_layout="{% for item in [[ items ]] %}{{ item.title }}\n{% endfor %}",
    )
    three = block_create(by=root, name="Three", type_id=goods.pk, content={"en": {}}).pk
    hello = 'Look around, {{ profile.first_name | fallback("friend") }}'
    nothing = block_create(by=root, name="Nothing", type_id=words.pk, content={"en": {"words": hello}}).pk
    foot = (
        '<mj-section><mj-column><mj-text>[[ brand.postal_address ]] <a href="{{ links.unsubscribe }}">Unsubscribe</a>'
        "</mj-text></mj-column></mj-section>"
    )
    named = "\n".join(f"[[ slot:{name} ]]" for name in SLOTS)
    template = template_create(
        by=root,
        code="bench",
        name="Bench",
        subject="[[ brand.name ]]",
        mjml=f"<mjml><mj-body>{named}{foot}</mj-body></mjml>",
        text=f"{named}\n[[ brand.postal_address ]]\n{{{{ links.unsubscribe }}}}\n",
    )
    lists = (("personal", "neighbours"), ("category", "category"), ("country", "country"), ("site", "shop"))
    tiers: list[dict[str, Any]] = [
        {"tier": tier, "block": three, "source": source, "count": 3} for tier, source in lists
    ]
    tiers[2]["when"] = {"attribute": "country", "in": ["DE", "FR"]}
    publisher = make_user("publisher")
    playbook = playbook_create(
        by=publisher,
        code="bench",
        name="Bench",
        trigger="api",
        channel="web",
        placement="bench",
        audience=Audience.objects.create(name="Everybody at the bench", rule={"all": []}, owner=publisher),
        brand=make_brand(by=root),
        template=template,
        slots={name: [*tiers, {"tier": "static", "block": nothing}] for name in SLOTS},
        approval_path=["brand_approver"],
    )
    playbook_publish(version_id=approve(playbook_submit(playbook_id=playbook.pk, by=publisher)).pk, by=publisher)


def workers_wait(above: int, count: int) -> None:
    """Wait until the workers below a process have loaded what they serve: the port is open before, and half a server
    would be measured. Then they use no processor any more."""
    used: dict[str, int] = {}
    for _ in range(240):
        time.sleep(0.5)
        before, used = used, {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[1]) == above:
                    used[stat.parent.name] = int(fields[11]) + int(fields[12])
        if sum(one > 50 for one in used.values()) >= count and used == before:
            return
    raise SystemExit("the web workers did not get ready")


@contextmanager
def web(port: int, workers: int, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Web workers, until the block ends; the process above them."""
    command = [sys.executable, "-m", "granian", "--host", "127.0.0.1", "--port", str(port), "--interface", "wsgi"]
    command += ["--workers", str(workers), "--blocking-threads", "64", "--no-ws", "--log-level", "error"]
    process = subprocess.Popen([*command, "config.wsgi:application"], cwd=ROOT, env={**os.environ, **environment})
    try:
        for _ in range(300):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        workers_wait(process.pid, workers)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def load(port: int, key: str, rate: int, seconds: float, connections: int, people: tuple[int, int]) -> dict[str, Any]:
    """What came of asking at a rate."""
    command = [sys.executable, str(ROOT / "bench" / "_load.py")]
    command += [str(port), key, str(rate), str(seconds), str(connections), str(people[0]), str(people[1])]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def away(key: str, people: tuple[int, int], workers: int, seconds: float) -> dict[str, dict[str, Any]]:
    """Answers while Redis and PostgreSQL are cut off or silent, one after the other."""
    wires, addresses = {}, {}
    for name in ("REDIS_URL", "DATABASE_URL"):
        url = urlsplit(os.environ[name])
        wires[name] = Wire(url.hostname or "127.0.0.1", url.port or 0)
        credentials = url.netloc.rpartition("@")
        netloc = f"{credentials[0]}{credentials[1]}127.0.0.1:{wires[name].port}"
        addresses[name] = urlunsplit(url._replace(netloc=netloc))
    found: dict[str, dict[str, Any]] = {}
    port = free_port()
    with web(port, workers, **addresses):
        load(port, key, 50, 3, 8, people)  # each process has seen the key and the place
        for name, said in (("REDIS_URL", "redis"), ("DATABASE_URL", "postgres")):
            wires[name].silent.set()
            found[f"{said}_hangs"] = load(port, key, 50, seconds, 8, people)
            wires[name].silent.clear()
            load(port, key, 20, 3, 8, people)
            wires[name].cut()
            found[f"{said}_stopped"] = load(port, key, 50, seconds, 8, people)
            wires[name].join()
            load(port, key, 20, 3, 8, people)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="bin/bench decide", description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    begun = time.monotonic()
    shop_make()
    people = people_make(options.people)
    recommendation_set_refresh(as_of=now())
    for start in range(people[0], people[1] + 1, CHUNK):  # as `manage.py features_rebuild --copies` does
        copies_fill(profile_ids=range(start, min(start + CHUNK, people[1] + 1)), as_of=now())
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    told(f"{options.people:,} people made in {time.monotonic() - begun:.0f} s")
    key = make_asker("decisions:make", per_minute=10_000_000).key
    port = free_port()
    with web(port, options.workers):
        load(port, key, 100, 5, 8, people)
        told("500 a second …")
        steady = load(port, key, 500, options.seconds, 32, people)
        told(str(steady))
        most = load(port, key, 0, options.seconds, 16, people)
        told(f"as many as there can be: {most}")
    sizes = [len(sealed) for sealed in Answer.objects.values_list("sealed", flat=True)[:5_000]]
    ids = list(Answer.objects.values_list("pk", flat=True)[:1_000])
    states = {answer_replay(pk).state for pk in ids}
    held_up = away(key, people, options.workers, min(options.seconds, 8))
    for name, one in held_up.items():
        told(f"{name}: {one}")
    figures = {
        "people": options.people,
        "p50_ms": steady["p50_ms"],
        "p99_ms": steady["p99_ms"],
        "at_500_per_second": steady["per_second"],
        "decisions_per_second": most["per_second"],
        "not_ok": steady["not_ok"] + most["not_ok"],
        "generic": steady["generic"] + most["generic"],
        "late_while_away": sum(one["over_200_ms"] for one in held_up.values()),
        "longest_while_away_ms": max(one["longest_ms"] for one in held_up.values()),
        "not_ok_while_away": sum(one["not_ok"] for one in held_up.values()),
        "bytes_of_a_decision": round(sum(sizes) / max(len(sizes), 1)),
        "replayed_the_same": states == {"same"},
    }
    for name, value in figures.items():
        print(f"{name:28}{value!s:>12}")
    met = {
        "p99_ms": figures["p99_ms"] <= TARGETS["p99_ms"],
        "decisions_per_second": figures["decisions_per_second"] >= TARGETS["decisions_per_second"],
        "late_while_away": figures["late_while_away"] == 0,
    }
    print(json.dumps({"name": "decide", "figures": figures, "targets": TARGETS, "met": met}))


if __name__ == "__main__":
    main()
