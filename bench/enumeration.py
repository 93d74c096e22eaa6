"""Known and unknown addresses typed in on `/p/`: the same answer, and how far apart their times are.

Pairs of a known and an unknown address are posted over HTTP to granian, in random order within each pair, while a
worker looks up who has them. Status, headers and body must be the same; the medians of the times should differ by
less than 5 ms, so that nobody learns over a network who is a customer.
"""

import http.client
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median, quantiles
from urllib.parse import urlencode

import django

django.setup()

from apps.data.profiles.mail import MailKind, mail_ready  # noqa: E402
from apps.data.profiles.models import LinkAsked  # noqa: E402
from apps.decisioning.playbooks.models import MailWant  # noqa: E402
from apps.decisioning.playbooks.ready_made import ready_made_copy  # noqa: E402
from apps.decisioning.playbooks.services import playbook_publish, playbook_submit  # noqa: E402
from apps.foundation.accounts.models import User  # noqa: E402
from tests.factories import approve, make_brand, make_paths, make_profile, make_purposes  # noqa: E402

PAIRS = 1_000
WARM_UP = 50
TARGET_MS = 5.0
OWN_TO_EACH = {"date", "x-request-id"}
"""Headers that differ between any two answers."""
SETTLE_SECONDS = 120


def main() -> None:
    """Prints the figures as a line of JSON, the last. An argument: how many pairs."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    stamp = f"{random.randrange(10**9):09d}"
    publish()
    known = [f"known.{stamp}.{number}@shop-mail.example" for number in range(pairs + WARM_UP)]
    unknown = [f"other.{stamp}.{number}@shop-mail.example" for number in range(pairs + WARM_UP)]
    for address in known:
        make_profile(email=address)
    with serving() as port:
        took, differences = measure(port, known, unknown)
        settled = settle()
    figures = {
        "pairs": pairs,
        "different_answers": differences,
        "mails_wanted": MailWant.objects.filter(key__startswith="asked:").count() if settled else -1,
        "known_median_ms": round(median(took["known"]), 3),
        "unknown_median_ms": round(median(took["unknown"]), 3),
        "median_difference_ms": round(abs(median(took["known"]) - median(took["unknown"])), 3),
        "p95_difference_ms": round(abs(p95(took["known"]) - p95(took["unknown"])), 3),
        "pair_difference_ms": round(
            median(one - other for one, other in zip(took["known"], took["unknown"], strict=True)), 3
        ),
    }
    for name, value in figures.items():
        print(f"{name:24}{value:>12}")
    targets = {"median_difference_ms": TARGET_MS, "different_answers": 0}
    met = {
        "median_difference_ms": figures["median_difference_ms"] < TARGET_MS,
        "different_answers": differences == 0,
    }
    print(json.dumps({"name": "enumeration", "figures": figures, "targets": targets, "met": met}))


def publish() -> None:
    """The mail with the link, as the gallery has it, unless this database has one."""
    if mail_ready(MailKind.LINK):
        return
    make_purposes()
    make_paths()
    root = User.objects.create_superuser(f"bench-{random.randrange(10**9)}@staff.example", "a long enough password")
    playbook = ready_made_copy(code="system_link", brand=make_brand(by=root), name="", by=root)
    playbook_publish(version_id=approve(playbook_submit(playbook_id=playbook.pk, by=root)).pk, by=root)


@contextmanager
def serving() -> Iterator[int]:
    """Granian and a worker, as in production; the limit on one network is lifted, for all posts come from here."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    environment = {**os.environ, "LINK_ASKS_PER_NETWORK": "1000000", "LOG_LEVEL": "ERROR"}
    commands = [
        ["granian", "--interface", "wsgi", "--workers", "2", "--host", "127.0.0.1", "--port", str(port), "--no-ws",
         "--log-level", "error", "config.wsgi:application"],
        ["celery", "-A", "config", "worker", "-Q", "track,decide", "--concurrency", "1", "--loglevel", "ERROR",
         "--without-gossip", "--without-mingle"],
    ]  # fmt: skip
    running = [
        subprocess.Popen([sys.executable, "-m", *command], env=environment, stdout=subprocess.DEVNULL)
        for command in commands
    ]
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), 1):
                    break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        yield port
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)


def measure(port: int, known: list[str], unknown: list[str]) -> tuple[dict[str, list[float]], int]:
    """Milliseconds of each post by kind, without the first ones, and how many pairs were answered differently."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    took: dict[str, list[float]] = {"known": [], "unknown": []}
    differences = 0
    for number, (mine, others) in enumerate(zip(known, unknown, strict=True)):
        answers = {}
        for kind, address in random.sample([("known", mine), ("unknown", others)], 2):
            body = urlencode({"email": address})
            before = time.perf_counter_ns()
            line.request("POST", "/p/", body, {"Content-Type": "application/x-www-form-urlencoded"})
            response = line.getresponse()
            content = response.read()
            if number >= WARM_UP:
                took[kind].append((time.perf_counter_ns() - before) / 1e6)
            headers = sorted((name.lower(), value) for name, value in response.getheaders())
            answers[kind] = (
                response.status, content, [one for one in headers if one[0] not in OWN_TO_EACH],
            )  # fmt: skip
        differences += answers["known"] != answers["unknown"]
        if number == 0 and answers["known"][0] != 303:
            raise SystemExit(f"the page answered {answers['known'][0]}: nothing to measure")
    return took, differences


def settle() -> bool:
    """Whether the worker has looked up all addresses."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while LinkAsked.objects.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def p95(values: list[float]) -> float:
    return quantiles(values, n=20)[18]


if __name__ == "__main__":
    main()
