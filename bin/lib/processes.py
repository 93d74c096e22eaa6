"""Starts, watches and stops the processes of one command; none of them outlives it.

Each child has a session of its own, so Ctrl-C in the terminal reaches the supervisor alone, which then stops the
children in order: a stage after the one above it, each child with a time limit, then SIGKILL to what is left of its
group. Should the supervisor itself be killed, its guard (`bin/lib/guard.py`) does the same.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

LOG_LIMIT = 10_000_000
"""Bytes from which a log is set aside as NAME.log.1 at the next start."""


class StateInUse(Exception):
    """Another command runs on this state folder."""


class ProcessDied(Exception):
    """A child ended that should have gone on; the message names it, its log and the log's end."""


class StopRequested(Exception):
    """Ctrl-C, SIGTERM or the terminal's end."""


@dataclass(frozen=True)
class Account:
    """The account a child runs as."""

    uid: int
    gid: int


@dataclass
class Child:
    """A process that was started."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stage: int
    stop_signal: signal.Signals
    stop_seconds: float
    log_start: int
    """Where in its log this child's own output begins."""
    task: bool = False
    """Whether it has an end of its own."""

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def log_end(self, lines: int = 12) -> str:
        """The last lines of its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(self.log_start, self.log.stat().st_size - 8_000))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


class StateLock:
    """Held by the one command that runs on a state folder, and by its guard until the last child is gone."""

    def __init__(self, state: Path, *, patience: float = 60.0) -> None:
        """Takes the lock.

        Raises:
            StateInUse: a living command holds it, or what a killed one left doesn't end within `patience` seconds.
        """
        # Mail and uploads are nobody else's to read; PostgreSQL's account, where it is another, may pass through.
        state.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.path = state / "lock"
        self.file = self.path.open("a+")
        limit = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                self.file.seek(0)
                holder = self.file.read().strip()
                if holder.isdigit() and _process_exists(int(holder)):
                    raise StateInUse(f"{state} is in use by another command (process {holder})") from None
                if time.monotonic() > limit:
                    raise StateInUse(f"the processes of an earlier command in {state} don't end") from None
                time.sleep(0.1)
        self.file.truncate(0)
        self.file.write(str(os.getpid()))
        self.file.flush()

    def release(self) -> None:
        """Gives it up; a guard that still has work goes on holding it."""
        self.file.close()


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Supervisor:
    """Owns a command's children. Use it as a context manager: leaving it stops them all."""

    def __init__(self, log_folder: Path, *, lock: StateLock | None = None) -> None:
        self.log_folder = log_folder
        log_folder.mkdir(parents=True, exist_ok=True)
        self.children: list[Child] = []
        self._lock = lock
        self._guard: subprocess.Popen[bytes] | None = None
        self._shielded = False
        self._pending = False
        self._stopping = False
        self._hurry = False
        self._shares_terminal = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # Under nohup it is meant to go on.
            self._before[number] = signal.signal(number, self._signalled)
        passed = (self._lock.file.fileno(),) if self._lock else ()
        self._guard = subprocess.Popen(
            [sys.executable, "-m", "bin.lib.guard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=passed,
            cwd=Path(__file__).resolve().parent.parent.parent,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            if self._guard and self._guard.stdin:
                self._guard.stdin.close()
                self._guard.wait()
            for number, handler in self._before.items():
                signal.signal(number, handler)  # type: ignore[arg-type]

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        if self._stopping:
            self._hurry = number == signal.SIGINT
        elif self._shares_terminal and number == signal.SIGINT:
            return  # The terminal has told the child in the foreground too; it ends by itself.
        elif self._shielded:
            self._pending = True
        else:
            raise StopRequested

    @contextlib.contextmanager
    def _shield(self) -> Iterator[None]:
        """Within it a wish to stop waits: a child is either not started, or known."""
        self._shielded = True
        try:
            yield
        finally:
            self._shielded = False
        if self._pending:
            self._pending = False
            raise StopRequested

    def _tell_guard(self, line: str) -> None:
        if self._guard and self._guard.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.write(line.encode() + b"\n")
                self._guard.stdin.flush()

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | str | None = None,
        account: Account | None = None,
        stage: int = 1,
        stop_signal: signal.Signals = signal.SIGTERM,
        stop_seconds: float = 10.0,
        task: bool = False,
    ) -> Child:
        """Starts a child in a session of its own; what it prints goes to `NAME.log`.

        Stages stop from the highest to the lowest, each when the one above it is gone.
        """
        path = self.log_folder / f"{name}.log"
        if path.exists() and path.stat().st_size > LOG_LIMIT:
            path.replace(path.with_name(path.name + ".1"))
        with self._shield(), path.open("ab") as out:
            out.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} {name} starts\n".encode())
            out.flush()
            log_start = out.tell()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
            child = Child(name, process, path, stage, stop_signal, stop_seconds, log_start, task)
            self.children.append(child)
            self._tell_guard(f"+ {process.pid} {int(stop_signal)} {stop_seconds} {stage}")
        return child

    def run(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | str | None = None,
        note: Callable[[str], None] | None = None,
        seconds: float = 1800.0,
    ) -> str:
        """Runs a child to its end and gives what it printed, as `finish`."""
        return self.finish(self.start(name, command, env=env, cwd=cwd, stage=9, task=True), note=note, seconds=seconds)

    def finish(self, child: Child, *, note: Callable[[str], None] | None = None, seconds: float = 1800.0) -> str:
        """Waits for a task's end and gives what it printed; `note` hears its last line while it works.

        Raises:
            ProcessDied: it ended with an error, took too long, or another child died meanwhile.
        """
        name = child.name
        limit = time.monotonic() + seconds
        while child.running:
            if time.monotonic() > limit:
                raise ProcessDied(f"{name} takes longer than {seconds:.0f} s; its log: {child.log}\n{child.log_end()}")
            self.check(but=child)
            time.sleep(0.05)
            if note:
                last = child.log_end(1).strip()
                if last:
                    note(last)
        self._forget(child)
        if child.process.returncode:
            raise ProcessDied(
                f"{name} ended with {child.process.returncode}; its log: {child.log}\n{child.log_end(25)}"
            )
        with child.log.open("rb") as file:
            file.seek(child.log_start)
            return file.read().decode(errors="replace")

    def foreground(self, name: str, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> int:
        """Runs a child that has the terminal for itself, and gives its exit code."""
        with self._shield():
            process = subprocess.Popen(command, env=env)
            child = Child(name, process, Path(os.devnull), 9, signal.SIGINT, 20.0, 0)
            self.children.append(child)
            self._tell_guard(f"+ {process.pid} {int(signal.SIGINT)} 20 9")
        self._shares_terminal = True
        try:
            code = process.wait()
        finally:
            self._shares_terminal = False
        self._forget(child)
        return code

    def _forget(self, child: Child) -> None:
        self.children.remove(child)
        self._tell_guard(f"- {child.process.pid}")
        _group_kill(child.process.pid)

    def check(self, *, but: Child | None = None) -> None:
        """Raises ProcessDied if a child has ended by itself."""
        for child in self.children:
            if child is not but and not child.running and not (child.task and child.process.returncode == 0):
                code = child.process.returncode
                how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
                raise ProcessDied(f"{child.name} {how}; its log: {child.log}\n{child.log_end()}")

    def wait_until(self, ready: Callable[[], bool], *, what: str, seconds: float) -> None:
        """Waits for a condition.

        Raises:
            ProcessDied: a child ended, or the condition didn't hold within `seconds`.
        """
        limit = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > limit:
                raise ProcessDied(f"{what} not within {seconds:.0f} s; the logs are in {self.log_folder}")
            time.sleep(0.05)

    def watch(self) -> None:
        """Returns never: ends with StopRequested, or with ProcessDied when a child ends."""
        while True:
            self.check()
            time.sleep(0.3)

    def stop_child(self, child: Child) -> None:
        """Stops one child before its time."""
        self._stop_all([child])

    def stop(self) -> None:
        """Stops all children, stage by stage. A Ctrl-C meanwhile shortens the time limits to nothing."""
        self._stopping = True
        for stage in sorted({child.stage for child in self.children}, reverse=True):
            self._stop_all([child for child in self.children if child.stage == stage])

    def _stop_all(self, children: list[Child]) -> None:
        begun = time.monotonic()
        for child in children:
            if child.running:
                child.process.send_signal(child.stop_signal)
        for child in children:
            while child.running:
                if self._hurry or time.monotonic() - begun > child.stop_seconds:
                    _group_kill(child.process.pid)
                    child.process.wait()
                time.sleep(0.02)
            self._forget(child)


def _group_kill(pid: int) -> None:
    """Ends what is left of a child's group: its own children, when it went without them."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
