"""Senders that die, stop or lose their database: nothing is sent twice, nothing is lost in silence."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import redis
from django.conf import settings as django_settings
from django.db import connection, transaction
from django.db.models.functions import Now
from pytest_django import Settings

from apps.data.consent.models import Channel
from apps.decisioning.decisions.models import Decision
from apps.delivery.sending import recovery
from apps.delivery.sending.claims import messages_claim
from apps.delivery.sending.journal import DeadJournal, Journal, JournalBusy, journal_path, journal_read
from apps.delivery.sending.models import DeliveryAttempt, Dispatch, Message, Sender, SweepMark
from apps.delivery.sending.recovery import sweep, uuid7_floor
from apps.delivery.sending.sender import SenderProcess
from apps.delivery.sending.services import dispatch_take_up
from apps.delivery.sending.windows import messages_send
from apps.foundation.core.clock import now
from apps.foundation.core.ids import uuid7
from tests.delivery.makers import make_compiled, make_decisions, make_people, make_run
from tests.delivery.relay import Accepted, Relay
from tests.delivery.sending.test_windows import states

pytestmark = pytest.mark.usefixtures("ledger")

State = Message.State


def until(what: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition, with a limit."""
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.02)


class Nursery:
    """Real senders in processes of their own, on the tests' database."""

    def __init__(self, relay: Relay, data_dir: Path) -> None:
        database = connection.settings_dict
        url = f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}"
        self._settings = {"SMTP_URL": f"smtp://127.0.0.1:{relay.port}?timeout=10", "DATA_DIR": str(data_dir)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.delivery.nursery"],
            env={**os.environ, "DATABASE_URL": f"{url}/{database['NAME']}"},
            cwd=django_settings.BASE_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.pids: list[int] = []

    def sender_start(self, **values: int) -> int:
        """Its process number."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({**self._settings, **values}) + "\n")
        self._process.stdin.flush()
        self.pids.append(int(self._process.stdout.readline()))
        return self.pids[-1]

    def close(self) -> None:
        """End all that it started."""
        for pid in self.pids:
            kill(pid)
        self._process.kill()
        self._process.wait()


def gone(pid: int) -> bool:
    """Whether the process has ended."""
    return not Path(f"/proc/{pid}").exists()


def kill(pid: int) -> None:
    """kill -9, and wait for the end."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    until(lambda: gone(pid))


@pytest.fixture
def nursery(ledger: None, relay: Relay, journals_aside: Path) -> Iterator[Nursery]:
    one = Nursery(relay, journals_aside)
    yield one
    one.close()


def heartbeats_stop() -> None:
    """As if every sender had been silent for long; whether it is dead is another question."""
    Sender.objects.filter(settled_at=None).update(heartbeat_at=Now() - timedelta(minutes=1))


def make_queued(size: int) -> None:
    """A run taken up, for that many people."""
    run = make_run()
    make_decisions(run, make_people(size), make_compiled())
    assert dispatch_take_up(run_id=run.pk) == size


def agree(relay: Relay) -> None:
    """The ledger and the relay's own log say the same: no duplicate, nothing lost in silence."""
    taken = relay.ids()
    assert set(taken.values()) <= {1}, "sent twice"
    sent = {str(pk) for pk in Message.objects.filter(state=State.SENT).values_list("pk", flat=True)}
    uncertain = {str(pk) for pk in Message.objects.filter(state=State.UNCERTAIN).values_list("pk", flat=True)}
    assert sent <= set(taken), "said to be sent, and the relay never saw it"
    assert set(taken) - sent <= uncertain, "taken by the relay, and the ledger does not know"


CONNECTIONS = 4
"""That a process has open at once, unless SMTP_URL says otherwise."""


def test_senders_killed_at_any_moment_send_nothing_twice(
    relay: Relay, nursery: Nursery, clean_redis: "redis.Redis"
) -> None:
    # given 300 messages and a relay that takes a moment for each
    make_queued(300)
    relay.plan = lambda recipient: "slow 0.005"
    chance = random.Random(20261122)
    kills = 5
    # when the sender is killed five times, each time after some more messages
    for _ in range(kills):
        had = len(relay.accepted)
        pid = nursery.sender_start(SEND_WINDOW=20, SEND_CLAIM=60)
        more = had + chance.randrange(5, 45)
        until(lambda more=more, pid=pid: len(relay.accepted) >= more or gone(pid))  # type: ignore[misc]
        time.sleep(chance.random() * 0.02)  # anywhere within a message
        kill(pid)
        clean_redis.flushdb()  # the broker forgets everything, too
        heartbeats_stop()
        sweep()
    # and another one finishes the work
    relay.plan = lambda recipient: "ok"
    messages_send()
    # then everybody got one message, and at most one for each kill and connection is uncertain
    agree(relay)
    found = states()
    assert found[State.SENT] + found.get(State.UNCERTAIN, 0) == 300
    assert found.get(State.UNCERTAIN, 0) <= kills * CONNECTIONS
    assert len(relay.accepted) >= 300 - found.get(State.UNCERTAIN, 0)
    assert not Sender.objects.filter(settled_at=None).exists()


def test_a_sender_stopped_past_its_lease_sends_nothing_when_it_goes_on(relay: Relay, nursery: Nursery) -> None:
    # given a sender with a lease of a second, stopped in the middle of a window
    make_queued(60)
    relay.plan = lambda recipient: "slow 0.05"
    pid = nursery.sender_start(SEND_LEASE_SECONDS=1, SEND_WINDOW=20, SEND_CLAIM=60)
    until(lambda: len(relay.accepted) >= 5)
    os.kill(pid, signal.SIGSTOP)
    taken = len(relay.accepted)
    until(lambda: not Message.objects.filter(state__in=["claimed", "sending"], lease_until__gt=Now()).exists())
    # when its lease has ended, others take over; that it lives is known by its journal, which is locked
    heartbeats_stop()
    sweep()
    assert Sender.objects.filter(settled_at=None).count() == 1
    held = states()
    assert held[State.UNCERTAIN] + held.get(State.SENT, 0) <= 20
    relay.plan = lambda recipient: "ok"
    messages_send()
    assert len(relay.accepted) > taken
    # then, woken, it hands nothing over that others have, and tells what it knows of its own
    os.kill(pid, signal.SIGCONT)
    until(lambda: gone(pid))
    messages_send()
    agree(relay)
    assert states() == {State.SENT: 60}


@pytest.mark.parametrize("moment", ["claimed", "sending", "begun", "answered"])
def test_each_moment_of_death_has_its_outcome(moment: str, relay: Relay, journals_aside: Path) -> None:
    # given a sender that died at that moment
    make_queued(1)
    message = Message.objects.get()
    sender = SenderProcess()
    with pytest.raises(KeyboardInterrupt), sender:
        die(sender, moment)
    # when the sweep finds it
    heartbeats_stop()
    sweep()
    # then
    message.refresh_from_db()
    expected = {"claimed": "queued", "sending": "queued", "begun": "uncertain", "answered": "sent"}
    outcomes = {"sending": "not_tried", "begun": "unknown", "answered": "accepted"}
    assert message.state == expected[moment]
    assert list(DeliveryAttempt.objects.values_list("outcome", flat=True)) == [
        outcomes[moment] for _ in range(moment in outcomes)
    ]
    assert Sender.objects.get().settled_at is not None


def die(sender: SenderProcess, moment: str) -> None:
    """Go so far with one message, and no further."""
    (claimed,) = messages_claim(sender_id=sender.id, channel=Channel.EMAIL, count=1)
    if moment != "claimed":
        Message.objects.filter(pk=claimed.id).update(state=State.SENDING, attempts=1, sending_at=now())
    if moment in ("begun", "answered"):
        sender.journal.begin(claimed.id, 1)
    if moment == "answered":
        sender.journal.end(claimed.id, 1, "accepted", "250")
    raise KeyboardInterrupt


def test_a_machine_that_crashed_may_have_lost_lines_of_the_journal(journals_aside: Path) -> None:
    make_queued(1)
    with pytest.raises(KeyboardInterrupt), SenderProcess() as sender:
        die(sender, "sending")
    # another kernel since: that nothing was noted proves nothing
    Sender.objects.update(boot_id="before the crash")
    heartbeats_stop()
    sweep()
    assert states() == {State.UNCERTAIN: 1}


def test_the_sender_of_another_machine_is_left_to_its_lease(journals_aside: Path) -> None:
    make_queued(2)
    with pytest.raises(KeyboardInterrupt), SenderProcess() as sender:
        die(sender, "sending")
    Sender.objects.update(boot_id="another", host="another")
    heartbeats_stop()
    sweep()
    assert states() == {State.SENDING: 1, State.QUEUED: 1}
    with connection.cursor() as cursor:
        cursor.execute("UPDATE sending_message SET lease_until = clock_timestamp() WHERE state = 'sending'")
    sweep()
    assert states() == {State.UNCERTAIN: 1, State.QUEUED: 1}
    assert DeliveryAttempt.objects.get().outcome == "unknown"


def test_a_living_sender_is_not_settled_however_silent(journals_aside: Path) -> None:
    make_queued(1)
    with SenderProcess() as sender:
        messages_claim(sender_id=sender.id, channel=Channel.EMAIL, count=1)
        heartbeats_stop()
        sweep()
        assert states() == {State.CLAIMED: 1}
        Message.objects.all().delete()


def test_a_database_that_drops_the_connection_within_a_window_costs_nothing(relay: Relay) -> None:
    # given a window under way, and a database that ends every connection of the sender
    make_queued(30)

    def cut(one: Accepted) -> None:
        if len(relay.accepted) in (5, 17):
            ended = threading.Thread(target=_end_connections)
            ended.start()
            ended.join()

    relay.on_accept = cut
    messages_send()
    relay.on_accept = None
    connection.close()
    # when the sweep has settled what the sender left, and another sends the rest
    heartbeats_stop()
    sweep()
    messages_send()
    # then all of it went out, once
    agree(relay)
    assert states() == {State.SENT: 30}


def _end_connections() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    finally:
        connection.close()


def test_decisions_whose_news_was_lost_are_taken_up() -> None:
    # given decisions of some time ago, and no signal
    run = make_run()
    make_decisions(run, make_people(3), make_compiled())
    sweep()
    assert states() == {State.QUEUED: 3}
    # and more of them later, with the mark of the first sweep behind
    make_decisions(run, make_people(2), make_compiled())
    sweep()
    sweep()
    assert states() == {State.QUEUED: 5}
    assert Decision.objects.count() == 5


def test_decisions_of_a_long_running_transaction_are_not_missed() -> None:
    """Its decisions have old ids, and commit after a sweep that began later: the mark stays behind it."""
    run, people, compiled = make_run(), make_people(1), make_compiled()
    began, go = threading.Event(), threading.Event()

    def decide() -> None:
        try:
            with transaction.atomic():
                make_decisions(run, people, compiled)
                began.set()
                go.wait(20)
        finally:
            connection.close()

    thread = threading.Thread(target=decide)
    thread.start()
    assert began.wait(10)
    started = now()
    sweep()
    assert SweepMark.objects.get().reached_at <= started
    go.set()
    thread.join()
    sweep()
    assert states() == {State.QUEUED: 1}


def test_senders_are_woken_for_what_is_due(settings: Settings) -> None:
    settings.SEND_CLAIM = 10
    assert recovery.senders_wanted() == 0
    make_queued(25)
    assert recovery.senders_wanted() == 3
    with SenderProcess():
        assert recovery.senders_wanted() == 2
    Dispatch.objects.update(state="paused")
    assert recovery.senders_wanted() == 0


def test_what_is_long_gone_is_forgotten(journals_aside: Path) -> None:
    make_queued(1)
    with pytest.raises(KeyboardInterrupt), SenderProcess() as sender:
        die(sender, "answered")
    path = journal_path(sender.id)
    heartbeats_stop()
    sweep()
    assert path.exists()
    Sender.objects.update(settled_at=Now() - timedelta(days=8))
    sweep()
    assert not path.exists()
    assert not Sender.objects.exists()
    assert states() == {State.SENT: 1}


def test_a_journal_is_read_as_far_as_it_goes(journals_aside: Path) -> None:
    one, other = uuid7(), uuid7()
    journal = Journal(UUID(int=1))
    journal.begin(one, 1)
    journal.end(one, 1, "accepted", "250")
    journal.begin(other, 2)
    with pytest.raises(JournalBusy), DeadJournal(journal.path):
        pass
    journal.close(remove=False)
    with journal.path.open("a") as file:
        file.write(f"accepted {other} 2 2")  # cut off while it was written
    with DeadJournal(journal.path) as reading:
        assert {key: (entry.outcome, entry.code) for key, entry in reading.entries.items()} == {
            (one, 1): ("accepted", "250"),
            (other, 2): ("", ""),
        }
    with journal.path.open("ab") as file:
        file.write(b"\n\xff\xfe nonsense\nbegin x y\n")
    assert len(journal_read(journal.path).entries) == 2


def test_uuid7_floor_is_below_every_id_of_its_time() -> None:
    before = now()
    ids = [uuid7() for _ in range(50)]
    assert all(uuid7_floor(before) <= one for one in ids)
    assert uuid7_floor(now() + timedelta(milliseconds=2)) > max(ids)
