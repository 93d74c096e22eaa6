"""Starts the house's servers from outside, as its commands do, and helps to see what is left of them."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from bin.lib.servers import Addresses, state_remove
from bin.lib.venv import ROOT


def wait_for(condition: Callable[[], bool], *, seconds: float = 30.0) -> None:
    """Waits for a condition, at most so long."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "the condition didn't come true in time"
        time.sleep(0.02)


def processes_in(folder: Path) -> set[int]:
    """The processes that work in a folder or hold one of its paths in their command line."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            inside = str(folder) in command or (entry / "cwd").readlink().is_relative_to(folder)
            zombie = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:
            continue
        if inside and not zombie and int(entry.name) != os.getpid():
            found.add(int(entry.name))
    return found


@dataclass
class Run:
    """One run of `python -m bin.lib.servers`."""

    process: subprocess.Popen[str]
    addresses: Addresses

    def query(self, statement: str, *, owner: bool = True) -> list[tuple[object, ...]]:
        """What PostgreSQL answers to one statement."""
        url = self.addresses.database_owner_url if owner else self.addresses.database_url
        connection = psycopg2.connect(url)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def servers_running() -> Iterator[Callable[[Path], Run]]:
    """Starts the servers on a state folder; what still runs at the end is stopped."""
    runs: list[Run] = []
    states: set[Path] = set()

    def start(state: Path) -> Run:
        states.add(state)
        process = subprocess.Popen(
            [sys.executable, "-m", "bin.lib.servers", str(state)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("{"), line + process.stdout.read()
        run = Run(process, Addresses(**json.loads(line)))
        runs.append(run)
        return run

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.end()
    for state in states:
        state_remove(state)


@pytest.fixture
def servers_run() -> Iterator[Callable[[Path], Run]]:
    """Starts them for a test."""
    with servers_running() as start:
        yield start


@contextmanager
def folder_reachable() -> Iterator[Path]:
    """A folder that other accounts can reach where they can reach the clone; pytest's own are closed to them."""
    folder = ROOT / "var" / "house-tests" / secrets.token_hex(4)
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder, empty."""
    with folder_reachable() as folder:
        yield folder


@pytest.fixture(scope="session")
def _set_up() -> Iterator[Path]:
    """A state in which servers were started and ended once."""
    with folder_reachable() as folder, servers_running() as start:
        assert start(folder / "state").end() == 0
        yield folder / "state"


@pytest.fixture
def used_state(_set_up: Path) -> Iterator[Path]:
    """A copy of a state in which servers ran before: setting one up takes longer than most of what is tried with it."""
    with folder_reachable() as folder:
        subprocess.run(["cp", "-a", _set_up, folder / "state"], check=True)
        yield folder / "state"
