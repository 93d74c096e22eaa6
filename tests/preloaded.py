"""Processes of their own in a moment: forked from one that has Django and the house loaded already.

What a test kills has to be a process of its own. If each of them read two thousand modules first, that would be most
of the work of such tests. The settings are read anew from the environment that a process is given.
"""

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, Self

ROOT = Path(__file__).resolve().parents[1]


class Started:
    """A process that was started, with what of `subprocess.Popen` is of use here."""

    def __init__(self, pid: int, status: int, stdout: IO[str] | None) -> None:
        self.pid, self.stdout, self.returncode = pid, stdout, None
        self._status = status

    returncode: int | None

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        if self.returncode is None:
            with suppress(BlockingIOError):
                told = os.read(self._status, 16)
                os.close(self._status)
                self.returncode = int(told or b"-9")
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        limit = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if limit is not None and time.monotonic() > limit:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        """Nothing, where it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.stdout is not None:
            self.stdout.close()
        self.wait()


def start(
    *arguments: str, env: Mapping[str, str] | None = None, stdout: int | None = None, stderr: int | None = None
) -> Started:
    """Start Python with such arguments: a script, `-m` and a module, or `-c` and a program.

    It leads a group of its own. stdout: where it writes, by number; `subprocess.PIPE` to read it here, as text.
    """
    reading, told = os.pipe()
    os.set_blocking(reading, False)
    heard, saying = os.pipe() if stdout == subprocess.PIPE else (None, stdout if stdout is not None else 1)
    wanted = json.dumps({"arguments": arguments, "environment": dict(env if env is not None else os.environ)}).encode()
    home = _home()
    socket.send_fds(home, [len(wanted).to_bytes(4, "big")], [told, saying, stderr if stderr is not None else 2])
    home.sendall(wanted)
    pid = int.from_bytes(home.recv(4, socket.MSG_WAITALL), "big")
    os.close(told)
    if heard is None:
        return Started(pid, reading, None)
    os.close(saying)
    return Started(pid, reading, os.fdopen(heard))


def run(
    *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Start it, wait for its end, and give what it said."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = start(*arguments, env=env, stdout=out.fileno(), stderr=err.fileno())
        try:
            code = started.wait(timeout)
        finally:
            started.kill()
        said = [(file.seek(0), file.read())[1] for file in (out, err)]
    return subprocess.CompletedProcess(arguments, code, *said)


@cache
def _home() -> socket.socket:
    """The one that forks them, for this process of the tests; it ends with it."""
    here, there = socket.socketpair()
    with there:
        number = there.fileno()
        subprocess.Popen([sys.executable, "-m", "tests.preloaded", str(number)], cwd=ROOT, pass_fds=[number])
    return here


def _serve(asked: socket.socket) -> None:
    """Fork one for each that is asked for, until nobody can ask any more."""
    import django

    django.setup()
    from django.urls import get_resolver

    assert get_resolver().url_patterns  # loads the pages too
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        head, places, _, _ = socket.recv_fds(asked, 4, 3)
        if not head:
            return
        wanted = json.loads(asked.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL))
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _keep(asked, places, wanted)
        for place in places:
            os.close(place)


def _keep(asked: socket.socket, places: list[int], wanted: dict[str, object]) -> None:
    """Fork it once more, say its number, wait for its end, and tell how it was."""
    status, out, err = places
    pid = os.fork()
    if pid == 0:
        os.setsid()
        asked.close()
        os.dup2(out, 1)
        os.dup2(err, 2)
        for place in places:
            os.close(place)
        _become(**wanted)  # type: ignore[arg-type]
    for place in (out, err):
        os.close(place)
    asked.sendall(pid.to_bytes(4, "big"))
    asked.close()
    _, ended = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):
        os.write(status, str(os.waitstatus_to_exitcode(ended)).encode())
    os._exit(0)


def _become(*, arguments: list[str], environment: dict[str, str]) -> None:
    """Be what was asked for, as if Python had been started with these arguments."""
    os.environ.clear()
    os.environ.update(environment)
    _settings_anew()
    how, *rest = arguments
    try:
        if how == "-c":
            sys.argv = ["-c", *rest[1:]]
            exec(rest[0], {"__name__": "__main__"})  # noqa: S102  # the test's own
        elif how == "-m":
            sys.argv = rest
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv = arguments
            runpy.run_path(how, run_name="__main__")
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            sys.stderr.write(f"{code}\n")
        _leave(code if isinstance(code, int) else int(code is not None))
    except BaseException:  # noqa: BLE001  # as Python itself does
        sys.excepthook(*sys.exc_info())
        _leave(1)
    _leave(0)


def _leave(code: int) -> None:
    """End without what the one that forked it had in mind for its own end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _settings_anew() -> None:
    """Read the settings again: nothing has been connected to yet, and nobody has asked them of Celery."""
    import importlib

    from django.conf import settings
    from django.core.cache import caches
    from django.db import connections
    from django.utils.log import configure_logging

    del sys.modules["config.settings"]
    fresh = importlib.import_module("config.settings")
    for name in dir(fresh):
        if name.isupper():
            setattr(settings, name, getattr(fresh, name))
    handlers: tuple[Any, ...] = (connections, caches)
    for handler in handlers:
        for alias in handler:
            if hasattr(handler._connections, alias):
                delattr(handler._connections, alias)
        handler.__dict__.pop("settings", None)
        handler._settings = None
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
