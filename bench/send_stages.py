"""Where the time of a send goes, by stage: one sender, real PostgreSQL, Postfix's smtp-sink.

usage: bin/bench send_stages [messages] [size of a window]     needs: smtp-sink (Debian's postfix)

Makes people, consents and decisions by hand, sends them, and prints microseconds per message for each stage, on the
wall and of this process's CPU. It leaves its rows in the database.
"""

# ruff: noqa: E402  # Django is set up before models are imported
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

from django.conf import settings
from django.db import connection

from apps.delivery.channels.smtp import SmtpChannel
from apps.delivery.sending import gate, rendering, windows
from apps.delivery.sending.services import dispatch_take_up
from tests import factories
from tests.delivery import makers
from tests.delivery.makers import make_compiled, make_decisions, make_people, make_run

ITEM = (
    '<table role="presentation" width="100%" cellpadding="0"><tr><td style="padding:10px 25px;font-family:Arial">'
    '<img src="https://shop.example/i/1.png" alt="A thing"><a href="https://shop.example/p/1">A thing, £4.25</a>'
    "</td></tr></table>"
)
HTML = (
    "<html><body><h1>Hello {{ profile.first_name | fallback('friend') }}</h1>"
    + ITEM * 55
    + '<a href="{{ links.preferences }}">choices</a><a href="{{ links.unsubscribe }}">leave</a></body></html>'
)
"""About 14 kB, as the messages of the main job are."""


class Clock:
    """Adds up what functions take, without what they call of each other."""

    def __init__(self) -> None:
        self.wall: defaultdict[str, float] = defaultdict(float)
        self.cpu: defaultdict[str, float] = defaultdict(float)
        self._inner: list[list[float]] = []

    def time(self, owner: Any, name: str, stage: str) -> None:
        """Time `owner.name` as a stage."""
        plain: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            self._inner.append([0.0, 0.0])
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                return plain(*args, **kwargs)
            finally:
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                inner = self._inner.pop()
                self.wall[stage] += wall - inner[0]
                self.cpu[stage] += cpu - inner[1]
                if self._inner:
                    self._inner[-1][0] += wall
                    self._inner[-1][1] += cpu

        setattr(owner, name, timed)


def main() -> None:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    settings.SEND_WINDOW = int(sys.argv[2]) if len(sys.argv) > 2 else settings.SEND_WINDOW
    settings.DATA_DIR = Path(tempfile.mkdtemp())
    port = 25000 + random.randrange(2000)
    settings.SMTP_URL = f"smtp://127.0.0.1:{port}"
    clock = Clock()
    start = random.randrange(10**9)  # the makers number what they make; this database may have some already
    makers._number, factories._number = count(start), count(start)
    run = make_run(cap=(50, 7))
    make_decisions(run, make_people(size), make_compiled(html=HTML))
    clock.time(windows, "messages_claim", "claim")
    clock.time(windows, "messages_prepare", "prepare: SHA-256, JSON, the rest")
    clock.time(rendering, "render", "prepare: render")
    clock.time(rendering, "letter_bytes", "prepare: MIME")
    clock.time(rendering, "links_named", "prepare: links")
    clock.time(windows, "gate_pass", "gate")
    clock.time(gate, "gate_lock", "gate: lock")
    clock.time(gate, "gate_read", "gate: read")
    clock.time(gate, "_caps_hold", "gate: caps")
    clock.time(gate, "_into_sending", "gate: to sending, with the intent")
    clock.time(SmtpChannel, "hand_over", "hand over")
    clock.time(windows, "results_record", "record")
    sink = subprocess.Popen(["smtp-sink", "-u", "nobody", f"127.0.0.1:{port}", "1000"])
    try:
        time.sleep(0.5)
        wall = time.perf_counter()
        taken = dispatch_take_up(run_id=run.pk)
        clock.wall["take up"] = time.perf_counter() - wall
        wall, cpu = time.perf_counter(), time.process_time()
        windows.messages_send(seconds=3600)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    finally:
        sink.terminate()
    with connection.cursor() as cursor:
        cursor.execute("SELECT avg(size)::int, count(*) FROM sending_message WHERE state = 'sent'")
        average, sent = cursor.fetchone()
    print(f"{taken} messages of {average} bytes, windows of {settings.SEND_WINDOW}; {sent} sent in this database")
    print(f"{taken / wall:.0f} a second, {cpu / taken * 1e6:.0f} us of CPU a message in this process\n")
    print(f"{'stage':36}{'us wall':>10}{'us CPU':>10}")
    for stage in sorted(clock.wall, key=clock.wall.__getitem__, reverse=True):
        print(f"{stage:36}{clock.wall[stage] / taken * 1e6:10.0f}{clock.cpu[stage] / taken * 1e6:10.0f}")
    rest = wall - sum(spent for stage, spent in clock.wall.items() if stage != "take up")
    print(f"{'the rest (journal, live, loop)':36}{rest / taken * 1e6:10.0f}")
    figures = {"messages": taken, "messages_per_second": round(taken / wall), "cpu_us": round(cpu / taken * 1e6)}
    print(json.dumps({"name": "send_stages", "figures": figures, "targets": {}, "met": {}}))


if __name__ == "__main__":
    main()
