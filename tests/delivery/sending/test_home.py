"""A backup that was made in the middle of a send and is restored elsewhere sends nothing again."""

import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from apps.decisioning.playbooks.models import Run
from apps.delivery.sending.evidence import uncertain_send_again
from apps.delivery.sending.home import held
from apps.delivery.sending.models import Dispatch, Home, Message
from apps.delivery.sending.recovery import ledger_take_over, sweep
from apps.delivery.sending.services import dispatch_take_up
from apps.delivery.sending.windows import messages_send
from apps.foundation.core.clock import now
from bin.lib.places import postgres_programs, server_account
from tests.delivery.makers import make_compiled, make_decisions, make_people, make_run
from tests.delivery.relay import Relay
from tests.delivery.sending.test_evidence import time_passes
from tests.delivery.sending.test_windows import states

pytestmark = pytest.mark.usefixtures("ledger")

State = Message.State


def program(name: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs on the server of the tests."""
    place = connection.settings_dict
    subprocess.run(
        [postgres_programs(server_account()) / name, "-h", place["HOST"], "-p", str(place["PORT"]), *arguments],
        env={**os.environ, "PGUSER": place["USER"], "PGPASSWORD": place["PASSWORD"]},
        check=True,
        capture_output=True,
    )


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """The name of another database, empty; the tests' own is in use again afterwards."""
    here = connection.settings_dict["NAME"]
    name = f"{here}_restored"
    program("createdb", name)
    yield name
    connection.close()
    connection.settings_dict["NAME"] = here
    program("dropdb", name)


def make_queued(size: int, purpose: str = "marketing") -> Run:
    """A run taken up, and decided."""
    run = make_run(purpose=purpose, state=Run.State.DECIDED)
    make_decisions(run, make_people(size), make_compiled())
    assert dispatch_take_up(run_id=run.pk) == size
    return run


def test_a_backup_of_a_send_under_way_sends_nothing_again(relay: Relay, elsewhere: str, tmp_path: Path) -> None:
    # given a campaign and some transactional mail, part of it handed over, and a run that is still being decided
    make_queued(10)
    assert messages_send() is False
    make_queued(15)
    make_queued(5, "transactional")
    deciding = make_run()
    make_decisions(deciding, make_people(4), make_compiled())
    # when a backup is made, and all of the rest goes out after it
    program("pg_dump", "--no-owner", "-f", str(tmp_path / "backup.sql"), connection.settings_dict["NAME"])
    dispatch_take_up(run_id=deciding.pk)
    messages_send()
    assert len(relay.accepted) == 34
    # and the backup is restored into another database, where senders and sweeper start
    program("psql", "-Xq", "-1", "-v", "ON_ERROR_STOP=1", "-f", str(tmp_path / "backup.sql"), elsewhere)
    connection.close()
    connection.settings_dict["NAME"] = elsewhere
    for _ in range(2):
        sweep()
        assert messages_send() is False
    # then nothing goes out again
    assert held()
    assert len(relay.accepted) == 34
    assert states() == {State.SENT: 10, State.QUEUED: 24}
    # nor when it was taken over: what went out is not known here, and what was under way is given up
    out = io.StringIO()
    call_command("sending_take_over", stdout=out)
    assert out.getvalue().startswith("24 messages uncertain; given up: 1 runs,")
    assert Run.objects.get(pk=deciding.pk).state == Run.State.CANCELLED
    time_passes()
    assert uncertain_send_again() == 0
    sweep()
    messages_send()
    assert len(relay.accepted) == 34
    assert states() == {State.SENT: 10, State.UNCERTAIN: 24}
    # the relay's log says what it was
    log = tmp_path / "relay.log"
    log.write_text("".join(f"<{one.message_id}@x>\t{one.recipient}\n" for one in relay.accepted))
    call_command("messages_settle", relay_log=log, stdout=io.StringIO())
    assert states() == {State.SENT: 34}
    # and a new occasion goes out
    make_queued(2)
    messages_send()
    assert len(relay.accepted) == 36


def test_a_ledger_at_home_is_not_held_and_learns_its_home_by_itself() -> None:
    Home.objects.all().delete()
    assert not held()
    make_queued(1)
    assert Home.objects.count() == 1
    assert not held()


@pytest.mark.parametrize("what", ["system_identifier", "database_oid", "timeline"])
def test_another_cluster_database_or_timeline_is_not_home(what: str, relay: Relay) -> None:
    make_queued(1)
    Home.objects.update(**{what: 1_000_007})
    assert held()
    messages_send()
    assert states() == {State.QUEUED: 1}
    # somebody takes it over
    assert ledger_take_over() == 1
    assert not held()
    assert states() == {State.UNCERTAIN: 1}
    assert not relay.accepted


def test_who_restores_a_whole_machine_holds_it_by_hand(relay: Relay) -> None:
    make_queued(1)
    call_command("sending_hold", stdout=io.StringIO())
    messages_send()
    assert not relay.accepted
    call_command("sending_take_over", stdout=io.StringIO())
    make_queued(1)
    messages_send()
    assert states() == {State.UNCERTAIN: 1, State.SENT: 1}
    # and where nothing is held, nothing is given up
    make_queued(1)
    call_command("sending_take_over", stdout=io.StringIO())
    assert states()[State.QUEUED] == 1
    assert Dispatch.objects.filter(not_after__gt=now()).count() == 3
