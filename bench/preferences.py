"""From a choice to its effect at gate, decision and open pages, while 100,000 messages are being sent.

usage: bin/bench preferences [messages] [changes] [--without-lock]

Real processes: two senders to a mail server that takes everything, two WSGI workers, and two ASGI servers for the
streams. People who are about to get their message leave, pause, and agree again, by the preference page's own forms. Of
each change the time is taken from its commit (a deferred trigger, the last thing before the commit) until

- the gate, asked in a new transaction under its lock, says otherwise,
- the decision service says otherwise,
- the person's other page, open on one ASGI server, was told and has fetched its part, and it reads otherwise,
- the page of the person for staff, open on the other ASGI server, likewise.

Meanwhile others leave by one click just when they stand before the gate: of them, only the order counts.

All are of one machine and one clock. Whether a message entered `sending` too late is judged by the order of commits
(tests/delivery/order.py), not by clocks. `--without-lock` takes the lock out of the senders' gate: the watch must find
messages that are too late then. It leaves its rows in the database.
"""

# ruff: noqa: E402  # Django is set up before models are imported
import html.parser
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from itertools import count
from urllib.parse import urlencode, urlsplit
from uuid import UUID

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

from django.conf import settings
from django.db import connection, transaction
from django.test import Client

from apps.data.consent.links import preferences_url, unsubscribe_url
from apps.data.consent.selectors import gate_read
from apps.data.consent.services import gate_lock
from apps.decisioning.decisions.engine import SEND, Plan
from apps.decisioning.decisions.services import people_decide, plan_load
from apps.decisioning.playbooks.steps import message_spec
from apps.delivery.sending.models import Message
from apps.delivery.sending.services import dispatch_take_up
from apps.foundation.core.clock import now
from bin.lib.servers import free_port
from bin.lib.venv import ROOT
from tests import factories
from tests.delivery import makers
from tests.delivery.makers import make_compiled, make_decisions, make_people, make_run
from tests.delivery.order import OrderWatch

PARTS = ("gate", "decision", "page", "staff_page")
AT_ONCE = 3
"""Changes made at the same time."""
PATIENCE = 20.0
"""Seconds after which a change that has no effect is given up."""
KINDS = ("withdraw", "withdraw", "pause", "withdraw", "again")
HTML = (
    "<html><body><h1>Hello {{ profile.first_name | fallback('friend') }}</h1>"
    + '<p><a href="https://shop.example/p/1">A thing, £4.25</a></p>' * 100
    + '<a href="{{ links.preferences }}">choices</a><a href="{{ links.unsubscribe }}">leave</a></body></html>'
)
_COMMITS = """
CREATE TABLE bench_commit (profile_id bigint, at timestamptz);
CREATE FUNCTION bench_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO bench_commit VALUES (NEW.profile_id, clock_timestamp()); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER bench_commit AFTER INSERT ON consent_consentrecord
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bench_commit();
CREATE CONSTRAINT TRIGGER bench_commit AFTER INSERT ON consent_preferencechange
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bench_commit()
"""
_NO_COMMITS = """
DROP TRIGGER bench_commit ON consent_consentrecord; DROP TRIGGER bench_commit ON consent_preferencechange;
DROP FUNCTION bench_commit; DROP TABLE bench_commit
"""


class Forms(html.parser.HTMLParser):
    """The forms of a page: what each button, by its id, would send."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.by_button: dict[str, list[tuple[str, str]]] = {}
        self._fields: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._fields = []
        elif tag == "input" and given.get("type") == "hidden":
            self._fields.append((given["name"], given.get("value", "")))
        elif tag == "button" and "id" in given:
            self.by_button[given["id"]] = self._fields


@dataclass(frozen=True, slots=True)
class Site:
    """Where the servers are, and the cookie of somebody who may see people."""

    web: int
    live: tuple[int, int]
    cookie: str

    def ask(self, path: str, *, form: list[tuple[str, str]] | None = None, staff: bool = False) -> str:
        """What the web server answers to htmx."""
        link = HTTPConnection("127.0.0.1", self.web, timeout=PATIENCE)
        headers = {"HX-Request": "true", **({"Cookie": self.cookie} if staff else {})}
        if form is None:
            link.request("GET", path, headers=headers)
        else:
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            link.request("POST", path, urlencode(form), {**headers, **kind})
        answer = link.getresponse()
        text = answer.read().decode()
        link.close()
        if answer.status != 200:
            raise RuntimeError(f"{path.split('/')[1]}: {answer.status}")
        return text


class OpenPage:
    """A page with its stream open, on one of the live servers. It was told once: that is what it shows."""

    def __init__(self, site: Site, stream: str, part: str, *, server: int, staff: bool) -> None:
        self._site, self.part, self._staff = site, part, staff
        self._link = HTTPConnection("127.0.0.1", site.live[server], timeout=PATIENCE)
        self._link.request("GET", stream, headers={"Cookie": site.cookie} if staff else {})
        self._answer: HTTPResponse = self._link.getresponse()
        if self._answer.status != 200:
            raise RuntimeError(f"a stream answers {self._answer.status}")
        self._told()
        self.shown = "" if staff else self.look()

    def _told(self) -> None:
        while self._answer.readline().strip() != b"event: changed":
            pass

    def look(self) -> str:
        """Its part, as it is now."""
        return self._site.ask(self.part, staff=self._staff)

    def moved(self, otherwise: Callable[[str], bool]) -> float:
        """When it reads otherwise."""
        while True:
            self._told()
            if otherwise(self.look()):
                return time.time()

    def close(self) -> None:
        """The person goes away."""
        self._link.close()


@dataclass(slots=True)
class Prepared:
    """A change about to be made, with both pages open."""

    kind: str
    person: int
    page: OpenPage
    staff_page: OpenPage


@dataclass
class Bench:
    """One run of it. times: seconds from commit to effect, by part and for the last of them."""

    site: Site
    plan: Plan
    dispatch: int
    watch: OrderWatch
    wanted: int
    locked: bool
    times: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    kinds: Counter[str] = field(default_factory=Counter)
    under_send: int = 0
    aimed: int = 0
    problems: list[str] = field(default_factory=list)
    _taken: set[int] = field(default_factory=set)
    _gone: list[int] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _number: Iterator[int] = field(default_factory=lambda: count(0))

    def warm_up(self) -> None:
        """Have both web workers and both live servers answer: servers that have just begun are slow once."""
        person = self._soon()
        for _ in range(6):
            for page in self._pages(person):
                page.close()

    def changes_make(self) -> None:
        """Make changes one after the other, the pages of the next one open already; as one of AT_ONCE."""
        with ThreadPoolExecutor(len(PARTS)) as watchers:
            try:
                ready = self._prepare()
                while ready is not None:
                    following = self._prepare()
                    self._change(ready, watchers)
                    ready = following
            except Exception as error:  # noqa: BLE001  # said at the end, and nothing is met then
                self.problems.append(f"{type(error).__name__}: {error}")
            finally:
                for _ in PARTS:
                    watchers.submit(connection.close)
        connection.close()

    def opt_outs_aim(self, over: threading.Event) -> None:
        """One-click opt-outs (RFC 8058) of those who stand before the gate at that moment: only their order counts."""
        while not over.wait(0.5 if self.locked else 0.1):
            near = Message.objects.filter(dispatch_id=self.dispatch, state="claimed")
            senders = set(near.values_list("sender_id", flat=True))
            first = [near.filter(sender_id=one).order_by("id").values_list("profile_id", flat=True) for one in senders]
            near_ids = [one for window in first for one in window[: settings.SEND_WINDOW] if one not in self._taken]
            if not near_ids:
                continue
            person = random.choice(near_ids)
            self._taken.add(person)
            link = unsubscribe_url(profile_id=person, message_id=UUID(int=0))
            try:
                self.site.ask(urlsplit(link).path, form=[("List-Unsubscribe", "One-Click")])
            except (OSError, RuntimeError) as error:
                self.problems.append(f"an opt-out did not get through: {error}")
                break
            self.watch.left(person)
            self.aimed += 1
        connection.close()

    def _prepare(self) -> Prepared | None:
        with self._lock:
            number = next(self._number)
            if number >= self.wanted:
                return None
            kind = KINDS[number % len(KINDS)]
            again = kind == "again" and len(self._gone) > 2 * AT_ONCE
            kind = "withdraw" if kind == "again" and not again else kind
            person = self._gone.pop(0) if again else self._soon()
        return Prepared(kind, person, *self._pages(person))

    def _pages(self, person: int) -> tuple[OpenPage, OpenPage]:
        path = urlsplit(preferences_url(profile_id=person, message_id=UUID(int=0))).path
        return (
            OpenPage(self.site, f"/live/p/{path.rpartition('/')[2]}", path, server=0, staff=False),
            OpenPage(self.site, f"/live/person/{person}/", f"/console/people/{person}/", server=1, staff=True),
        )

    def _soon(self) -> int:
        """Somebody whose message is among the next to be claimed; anybody when there is none left."""
        waiting = Message.objects.filter(dispatch_id=self.dispatch, state="queued").order_by("not_before", "id")
        start = random.randrange(600)
        people = list(waiting.values_list("profile_id", flat=True)[start : start + 40])
        people = [one for one in people if one not in self._taken]
        if not people:
            raise RuntimeError("the send is over before the changes are: ask for more messages")
        self._taken.add(people[0])
        return people[0]

    def _change(self, change: Prepared, watchers: ThreadPoolExecutor) -> None:
        person, wish = change.person, change.kind == "again"
        button = "pause" if change.kind == "pause" else "switch-marketing"
        form = Forms(change.page.shown).by_button[button]
        sign = {"withdraw": "News and offers, e-mail: Off", "pause": "Pause until"}.get(
            change.kind, "News and offers, e-mail: On"
        )
        shown = change.page.shown
        if wish:
            self.watch.back(person)
        found: dict[str, Future[float]] = {
            "gate": watchers.submit(self._until, lambda: self._gate(person) == wish),
            "decision": watchers.submit(self._until, lambda: self._decision(person) == wish),
            "page": watchers.submit(change.page.moved, lambda text: text != shown),
            "staff_page": watchers.submit(change.staff_page.moved, lambda text: sign in text),
        }
        self.site.ask(change.page.part, form=form)
        if not wish:
            self.watch.left(person)
        running = Message.objects.filter(dispatch_id=self.dispatch, state="queued").exists()
        moments = {part: one.result(PATIENCE) for part, one in found.items()}
        with connection.cursor() as cursor:
            cursor.execute("SELECT max(extract(epoch FROM at)) FROM bench_commit WHERE profile_id = %s", [person])
            committed = float(cursor.fetchone()[0])
        change.page.close()
        change.staff_page.close()
        with self._lock:
            for part, moment in moments.items():
                self.times[part].append(moment - committed)
            self.times["effect"].append(max(moments.values()) - committed)
            self.kinds[change.kind] += 1
            self.under_send += running
            if change.kind == "withdraw":
                self._gone.append(person)

    def _until(self, holds: Callable[[], bool]) -> float:
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit:
            if holds():
                return time.time()
            time.sleep(0.02)
        raise TimeoutError("no effect")

    def _gate(self, person: int) -> bool:
        with transaction.atomic():
            gate_lock(profile_ids=[person])
            return gate_read(profile_ids=[person], purpose="marketing", channel="email")[person].allowed

    def _decision(self, person: int) -> bool:
        at = now()
        with transaction.atomic(), connection.cursor() as cursor:
            decided = people_decide(
                cursor, plan=self.plan, purpose="marketing", channel="email", profile_ids=[person], as_of=at, at=at
            )
        return decided.verdicts[0][1].outcome == SEND


@contextmanager
def processes(
    commands: list[list[str]], environment: dict[str, str], *, nice: int = 0
) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Run commands, and end them."""
    python = ["nice", "-n", str(nice), sys.executable]
    running = [subprocess.Popen([*python, *command], cwd=ROOT, env=environment) for command in commands]
    try:
        yield running
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)


def answers(port: int) -> None:
    """Wait until a web server answers."""
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        try:
            link = HTTPConnection("127.0.0.1", port, timeout=5)
            link.request("GET", "/live/run/0/")
            link.getresponse().read()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("a server does not answer")


def people_queued(size: int) -> int:
    """So many people with their message queued. Returns the run's id."""
    compiled, run = make_compiled(html=HTML), make_run()
    for start in range(0, size, 5_000):
        make_decisions(run, make_people(min(5_000, size - start)), compiled)
    return int(run.pk)


def staff_cookie() -> str:
    """The cookie of somebody who may see people."""
    client = Client()
    client.force_login(factories.make_user("analyst"))
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def percentile(values: list[float], share: float) -> int:
    """Milliseconds: the smallest value that `share` of all do not exceed."""
    ordered = sorted(values)
    return round(1000 * ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]) if ordered else -1


def main() -> None:
    locked = "--without-lock" not in sys.argv
    given = [int(one) for one in sys.argv[1:] if one.isdecimal()]
    size, wanted = given + [100_000, 520][len(given) :]
    start = random.randrange(10**9)  # the makers number what they make; this database may have some already
    makers._number, factories._number = count(start), count(start + 10**9)
    print(f"making {size} people …", file=sys.stderr)
    run_id = people_queued(size)
    version = factories.make_published().published
    assert version is not None
    plan = plan_load(message_spec(version.spec, ""), version.compiled)
    dispatch_take_up(run_id=run_id)
    dispatch = Message.objects.order_by("-pk").values_list("dispatch_id", flat=True)[0]
    web, live, mail = free_port(), (free_port(), free_port()), free_port()
    data = tempfile.mkdtemp()
    environment = {**os.environ, "SMTP_URL": f"smtp://127.0.0.1:{mail}", "DATA_DIR": data, "PYTHONPATH": str(ROOT)}
    granian = ["-m", "granian", "--host", "127.0.0.1", "--log-level", "warning", "--interface"]
    servers = [["bench/_sink.py", str(mail)]]
    servers.append([*granian, "wsgi", "--workers", "2", "--no-ws", "--port", str(web), "config.wsgi:application"])
    servers += [
        [
            *granian,
            "asginl",
            "--workers",
            "1",
            "--workers-kill-timeout",
            "1",
            "--port",
            str(port),
            "config.asgi:application",
        ]
        for port in live
    ]
    sender = ["manage.py", "messages_send", "--seconds", "3600"] if locked else ["bench/_unlocked_sender.py"]
    load, begun = os.getloadavg(), time.monotonic()
    with (
        OrderWatch(linger=0 if locked else 0.2) as watch,
        connection.cursor() as cursor,
        processes(servers, environment),
    ):
        cursor.execute(_COMMITS)
        for port in (web, *live):
            answers(port)
        bench = Bench(Site(web, live, staff_cookie()), plan, dispatch, watch, wanted, locked)
        try:
            with processes([sender, sender], environment, nice=5) as senders:  # as docs/running.md runs workers
                print("sending, and choosing …", file=sys.stderr)
                bench.warm_up()
                over = threading.Event()
                aiming = threading.Thread(target=bench.opt_outs_aim, args=[over])
                aiming.start()
                changing = [threading.Thread(target=bench.changes_make) for _ in range(AT_ONCE)]
                for thread in changing:
                    thread.start()
                for thread in changing:
                    thread.join()
                chosen = time.monotonic() - begun
                print(f"{sum(bench.kinds.values())} changes made; sending the rest …", file=sys.stderr)
                for process in senders:
                    process.wait(1800)
                over.set()
                aiming.join()
            too_late, seen = watch.too_late(), watch.seen()
        finally:
            cursor.execute(_NO_COMMITS)
    took = time.monotonic() - begun
    states = Counter(Message.objects.filter(dispatch_id=dispatch).values_list("state", flat=True))
    for problem in bench.problems:
        print(f"problem: {problem}", file=sys.stderr)
    print(f"{'commit to effect, ms':24}{'p50':>8}{'p99':>8}{'most':>8}")
    figures: dict[str, float] = {}
    for part in ("effect", *PARTS):
        values = bench.times[part]
        row = {"p50": percentile(values, 0.5), "p99": percentile(values, 0.99), "max": percentile(values, 1)}
        figures |= {f"{part}_{name}_ms": value for name, value in row.items()}
        print(f"{part:24}{row['p50']:8}{row['p99']:8}{row['max']:8}")
    figures |= {
        "changes": sum(bench.kinds.values()),
        "changes_under_send": bench.under_send,
        "opt_outs_at_the_gate": bench.aimed,
        "messages": size,
        "sent": states["sent"],
        "withheld": states["withheld"],
        "settled": states["sent"] + states["withheld"],
        "entered_sending": seen,
        "too_late": len(too_late),
        "messages_per_second": round(seen / took),
        "seconds_choosing": round(chosen),
        "load_before": round(load[0], 1),
        "load_after": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count() or 0,
    }
    print(f"\n{dict(bench.kinds)}; {dict(states)}; {len(too_late)} too late")
    print(f"load {load[0]:.1f} before, {figures['load_after']} after, on {figures['cores']} cores")
    if locked:
        targets = {"effect_p99_ms": 1000, "changes_under_send": 500, "too_late": 0, "settled": size}
        met = {
            "effect_p99_ms": bool(bench.times["effect"]) and figures["effect_p99_ms"] <= 1000,
            "changes_under_send": figures["changes_under_send"] >= min(500, wanted) and not bench.problems,
            "too_late": not too_late,
            "settled": figures["settled"] == size,
        }
    else:
        targets, met = {"too_late": 1}, {"too_late": bool(too_late)}
    name = "preferences" if locked else "preferences --without-lock"
    print(json.dumps({"name": name, "figures": figures, "targets": targets, "met": met}))


if __name__ == "__main__":
    main()
