"""The parts of a running Tessera as processes of their own: the catcher, and Celery on the tests' database."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis
from django.conf import settings

from bin.lib.servers import free_port
from tests.preloaded import Started, start

__all__ = ["free_port"]
ROOT = Path(__file__).resolve().parents[2]


def wait_for(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Wait until a condition holds; fail after so long."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.1)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@dataclass
class Catcher:
    """The mail catcher of the demo, and what it took."""

    folder: Path
    smtp_port: int

    def mails(self) -> list[EmailMessage]:
        """All mails taken, parsed."""
        return [message_from_bytes(path.read_bytes(), policy=policy.default) for path in self.folder.rglob("*.eml")]


@pytest.fixture
def catcher(tmp_path: Path) -> Iterator[Catcher]:
    """A catcher on a port of its own."""
    taken = Catcher(tmp_path / "mail", free_port())
    command = [sys.executable, "-m", "bin.lib.catcher", str(taken.folder), "--smtp-port", str(taken.smtp_port)]
    process = subprocess.Popen([*command, "--page-port", str(free_port())], cwd=ROOT)
    try:
        wait_for(lambda: answers(taken.smtp_port), seconds=20, what="the catcher answers")
        yield taken
    finally:
        process.terminate()
        process.wait(10)


@dataclass
class Workers:
    """Celery's workers with beat, in a group of processes that can be killed."""

    environment: dict[str, str]
    log: Path
    groups: list[Started] = field(default_factory=list)

    def start(self, *options: str) -> None:
        """Start a worker for all queues, with beat."""
        number = len(self.groups)
        command = ["-m", "celery", "-A", "config", "worker", "-B", "-c", "2", "-n", f"flow{number}@%h"]
        command += ["-Q", "ingest,decide,render,send,track,maintenance", "-s", str(self.log.parent / f"beat{number}")]
        with self.log.open("ab") as log:
            place = log.fileno()
            self.groups.append(start(*command, *options, env=self.environment, stdout=place, stderr=place))

    def kill(self) -> None:
        """kill -9 to all of it: no chance to put anything in order."""
        os.killpg(self.groups[-1].pid, signal.SIGKILL)
        self.groups[-1].wait(10)

    def stop(self) -> None:
        """End what still runs."""
        for process in self.groups:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait(10)


@pytest.fixture
def workers(catcher: Catcher, tmp_path: Path, own_database: str) -> Iterator[Workers]:
    """Workers on the tests' database and the catcher; not started yet."""
    redis.Redis.from_url(settings.REDIS_URL).flushdb()
    url = urlsplit(os.environ["DATABASE_URL"])
    environment = os.environ | {
        "DATABASE_URL": urlunsplit(url._replace(path=f"/{own_database}")),
        "REDIS_URL": settings.REDIS_URL,
        "SMTP_URL": f"smtp://127.0.0.1:{catcher.smtp_port}",
        "DATA_DIR": str(tmp_path / "data"),
        "SENDER_DEAD_SECONDS": "2",
    }
    running = Workers(environment, tmp_path / "workers.log")
    yield running
    running.stop()
