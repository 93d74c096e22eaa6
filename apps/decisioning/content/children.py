"""Child processes kept ready, and killed when they misbehave.

`apart(job, …)` calls a function of `jobs.py` in a child and gives back what it gives back. A process of web or worker
has at most CHILDREN of them, begun when first needed and used again. One that takes too long, needs too much memory,
answers too much, crashes or is killed is gone, its job is refused with a Problem, and the next job has a fresh one.

They are begun by `subprocess` (no fork of this process's memory, so it is safe beside threads), with an empty
environment and no descriptor but their two pipes. A process that is forked off forgets them.
"""

import atexit
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any, Final, ParamSpec, TypeVar

from .child import MEMORY, STEP_SECONDS
from .contracts import Problem
from .errors import ContentMisbehaved
from .frames import HEAD, MAX_ANSWER, Frame, Types, frame_of, value_read, value_write
from .jobs import TYPES, job_name

CHILDREN: Final = 2
"""Child processes of one process."""
JOB_SECONDS: Final = 30.0
"""What all steps of a job may take together."""
START_SECONDS: Final = 30.0
"""What a child may take until it is ready; a machine that is busy needs long to load a Python."""
WAIT_SECONDS: Final = 15.0
"""How long a job waits for a free child."""
_LOOK_SECONDS: Final = 0.25
MAX_JOBS: Final = 1000
"""Jobs of a child; then a fresh one begins, so that nothing piles up."""
MAIN: Final = Path(__file__).with_name("child_main.py")

P = ParamSpec("P")
R = TypeVar("R")
logger = logging.getLogger(__name__)


class _Gone(Exception):
    """The child can't be used any more. what: for the log; mend: for people."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what)
        self.what, self.mend = what, mend


class Child:
    """One child process; one job at a time."""

    def __init__(self, main: Path) -> None:
        self.jobs = 0
        self.where = ""
        self._buffer = bytearray()
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(main)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={},
            cwd="/",
            start_new_session=True,
        )
        assert self.process.stdin is not None  # noqa: S101  # for the types: they are pipes
        assert self.process.stdout is not None  # noqa: S101
        self._in, self._out = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)

    def ready(self) -> None:
        """Wait until it takes jobs. Raises _Gone."""
        kind, _ = self._next(monotonic() + START_SECONDS)
        if kind is not Frame.READY:
            raise _Gone("spoke out of turn", "")

    def do(self, job: bytes) -> bytes:
        """The answer to a job. Raises _Gone."""
        self.jobs += 1
        self.where = ""
        end = monotonic() + JOB_SECONDS
        self._write(frame_of(Frame.JOB, job), monotonic() + STEP_SECONDS, starved=end)
        while True:
            kind, body = self._next(min(end, monotonic() + STEP_SECONDS), starved=end)
            if kind is Frame.STEP:
                self.where = body.decode("utf-8", "replace")
            elif kind is Frame.ANSWER:
                return body
            elif kind is Frame.FAILURE:
                raise _failed(body.decode("utf-8", "replace"))
            else:
                raise _Gone("spoke out of turn", "failed unexpectedly: tell whoever runs Tessera")

    def kill(self) -> None:
        """End it, at once. It may be stopped, or gone already."""
        self.process.kill()
        self.process.wait()
        self.close()

    def close(self) -> None:
        """Close this process's ends of the pipes."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def forget(self) -> None:
        """In a process that was forked off: it is not ours."""
        self.process.returncode = 0  # or Popen would wait for another's child
        self.close()

    def _wait(self, fd: int, what: int, end: float, starved: float) -> None:
        """Wait until a pipe is ready, at most until `end`. Raises _Gone.

        starved: how long one is waited for that works, while others have the processor: it is no fault of what it
        tries. Its own limit of processor time ends it sooner.
        """
        poll = select.poll()
        poll.register(fd, what)
        while not poll.poll(max(0.0, end - monotonic()) * 1000):
            # Who asks may come late to look at one that works: by then it has answered, and sleeps.
            if monotonic() >= starved or not (self._works() or poll.poll(0)):
                raise _Gone(f"was silent for {STEP_SECONDS} s", f"took longer than {STEP_SECONDS} seconds: simplify it")
            end = min(starved, monotonic() + _LOOK_SECONDS)

    def _works(self) -> bool:
        """Whether it has a processor, or waits for one or for the disk: neither asleep nor stopped."""
        try:
            told = Path(f"/proc/{self.process.pid}/stat").read_text()
        except OSError:
            return False
        return told.rpartition(")")[2].split()[0] in ("R", "D")

    def _write(self, data: bytes, end: float, starved: float) -> None:
        left = memoryview(data)
        while left:
            self._wait(self._in, select.POLLOUT, end, starved)
            try:
                left = left[os.write(self._in, left) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._ended() from None

    def _next(self, end: float, starved: float = 0.0) -> tuple[Frame, bytes]:
        while True:
            if len(self._buffer) >= HEAD.size:
                kind, length = HEAD.unpack_from(self._buffer)
                if length > MAX_ANSWER:
                    raise _failed("output")
                if len(self._buffer) >= HEAD.size + length:
                    body = bytes(self._buffer[HEAD.size : HEAD.size + length])
                    del self._buffer[: HEAD.size + length]
                    try:
                        return Frame(kind), body
                    except ValueError:
                        raise _Gone("wrote no frame", "failed unexpectedly: tell whoever runs Tessera") from None
            self._wait(self._out, select.POLLIN, end, starved)
            try:
                part = os.read(self._out, 1 << 16)
            except BlockingIOError:
                continue
            if not part:
                raise self._ended()
            self._buffer += part

    def _ended(self) -> _Gone:
        """Its pipes are closed: why."""
        try:
            code = self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            return _Gone("closed its pipes", "failed unexpectedly: tell whoever runs Tessera")
        if code == -signal.SIGXCPU:
            return _Gone("used up its processor time", f"took longer than {STEP_SECONDS} seconds: simplify it")
        if code in (-signal.SIGKILL, -signal.SIGTERM):
            return _Gone("was killed from outside", "was stopped from outside while it was tried: try again")
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return _Gone(f"crashed: {name}", f"crashed what tries it ({name}): simplify it, and nest it less deeply")


def _failed(why: str) -> _Gone:
    if why == "memory":
        return _Gone("needed too much memory", f"needs more than {MEMORY // 1024**2} MB of memory: simplify it")
    if why == "output":
        return _Gone("answered too much", f"gives more than {MAX_ANSWER // 1024**2} MiB: shorten it")
    return _Gone(f"failed: {why}", f"failed unexpectedly ({why}): tell whoever runs Tessera")


_pools: "weakref.WeakSet[Pool]" = weakref.WeakSet()


class Pool:
    """The child processes of this process, for any number of threads."""

    def __init__(self, size: int = CHILDREN, *, main: Path = MAIN, types: Types = TYPES) -> None:
        self._size, self._main, self._types = size, main, types
        self._reset()
        _pools.add(self)

    def _reset(self) -> None:
        self._free = threading.BoundedSemaphore(self._size)
        self._idle: list[Child] = []
        self._all: set[Child] = set()

    @property
    def pids(self) -> set[int]:
        """The processes that live."""
        return {child.process.pid for child in list(self._all)}

    def ask(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], *, about: str = "") -> Any:
        """What the job `name` gives for these arguments. Raises ContentMisbehaved.

        about: what is tried, where the child doesn't say which source it is in.
        """
        job = value_write((name, args, kwargs), self._types)
        if not self._free.acquire(timeout=WAIT_SECONDS):
            raise ContentMisbehaved(Problem(about, 0, "", "could not be tried, too much else is: try again soon"))
        child: Child | None = None
        try:
            child = self._child(about)
            answer = value_read(child.do(job), self._types)
        except (_Gone, ValueError) as error:
            where = (child.where if child else "") or about
            gone = error if isinstance(error, _Gone) else _failed(type(error).__name__)
            # Names of blocks may stand in `where`, nothing of a person.
            logger.warning("a child process %s, in %s of %s", gone.what, where or "nothing yet", name)
            raise ContentMisbehaved(Problem(where, 0, "", gone.mend)) from None
        else:
            if child.jobs < MAX_JOBS:
                self._idle.append(child)
                child = None
            return answer
        finally:
            # Also for what the caller is interrupted by: a child in the middle of a job can't be used again.
            if child is not None:
                self._all.discard(child)
                child.kill()
            self._free.release()

    def _child(self, about: str) -> Child:
        while self._idle:
            try:
                child = self._idle.pop()
            except IndexError:
                break  # another thread was quicker
            if child.process.poll() is None:
                return child
            self._all.discard(child)
            child.close()
        child = Child(self._main)
        self._all.add(child)
        try:
            child.ready()
        except BaseException as error:
            self._all.discard(child)
            child.kill()
            if not isinstance(error, _Gone):
                raise
            logger.error("a child process can't be started: %s", error.what)
            mend = "could not be tried, because no process for it can be started: tell whoever runs Tessera"
            raise ContentMisbehaved(Problem(about, 0, "", mend)) from None
        return child

    def close(self) -> None:
        """End all that are idle."""
        while self._idle:
            child = self._idle.pop()
            self._all.discard(child)
            child.kill()

    def forget(self) -> None:
        """In a process that was forked off: let go of the other one's children, and begin with none."""
        for child in list(self._all):
            child.forget()
        self._reset()


def _forked() -> None:
    for pool in list(_pools):
        pool.forget()


os.register_at_fork(after_in_child=_forked)

POOL: Final = Pool()
atexit.register(POOL.close)


def apart(job: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What `job`, one of `jobs.JOBS`, gives, worked out in a child process. Raises ContentMisbehaved."""
    result: R = POOL.ask(job_name(job), args, dict(kwargs), about=job.__name__.replace("_", " "))
    return result
