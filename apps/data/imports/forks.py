"""Processes that read chunks of a file, beside the one that imports it.

They are forked off, so that they need no start and share its memory. All that they do is compute: they let go of every
connection and file at once, know of no signal but their end, and leave without cleaning up what is not theirs. One
whose importer died sees the end of its pipe, and ends.
"""

import gc
import marshal
import os
import signal
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Any, BinaryIO, Final

_SIZE: Final = struct.Struct("!Q")


class ForkDied(Exception):
    """A process that reads was killed: by somebody, or for want of memory. Nothing is wrong with what it read."""


class ForkFailed(Exception):
    """A process that reads met what it can't deal with, and would again. Names no value of a line."""


class Fork:
    """One such process. It does one thing after another: `send`, then `receive`."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        there_read, here_write = os.pipe()
        here_read, there_write = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            _child(work, there_read, there_write)
        os.close(there_read)
        os.close(there_write)
        self._to: BinaryIO = os.fdopen(here_write, "wb")
        self._from: BinaryIO = os.fdopen(here_read, "rb")

    def send(self, task: object) -> None:
        """Give it something to do. Raises ForkDied."""
        try:
            _write(self._to, task)
        except OSError:
            raise ForkDied("a process that reads the file died") from None

    def receive(self) -> Any:
        """What came of it; waits for it. Raises ForkDied, ForkFailed."""
        answer = _read(self._from)
        if answer is None:
            raise ForkDied("a process that reads the file died")
        result, problem = answer
        if problem:
            raise ForkFailed(f"reading met {problem}")
        return result

    def close(self) -> None:
        """End it, whatever it does."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        for pipe in (self._to, self._from):
            try:
                pipe.close()
            except OSError:  # what was not taken in yet
                continue


class Forks:
    """Several of them, ended on leaving."""

    def __init__(self, count: int, work: Callable[[Any], Any]) -> None:
        # what is there now stays shared, and is not looked through again and again for the rubbish of lines
        gc.freeze()
        self.all = [Fork(work) for _ in range(count)]

    def __enter__(self) -> "Forks":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fork in self.all:
            fork.close()
        gc.unfreeze()


def _child(work: Callable[[Any], Any], read: int, write: int) -> None:
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the importer ends this one
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        low, high = sorted((read, write))
        os.closerange(3, low)
        os.closerange(low + 1, high)
        os.closerange(high + 1, os.sysconf("SC_OPEN_MAX"))
        gc.disable()  # what a chunk makes lives as long as the chunk
        with open(read, "rb") as tasks, open(write, "wb") as answers:
            while (task := _read(tasks)) is not None:
                try:
                    answer = (work(task), "")
                except Exception as error:  # noqa: BLE001  # told to the importer, who raises
                    answer = (None, type(error).__name__)
                _write(answers, answer)
                del task, answer
                gc.collect()
    finally:
        os._exit(0)


def _write(pipe: BinaryIO, value: Any) -> None:
    data = marshal.dumps(value)
    pipe.write(_SIZE.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def _read(pipe: BinaryIO) -> Any:
    """None at the end."""
    size = pipe.read(_SIZE.size)
    if len(size) < _SIZE.size:
        return None
    length = _SIZE.unpack(size)[0]
    data = pipe.read(length)
    if len(data) < length:
        return None
    return marshal.loads(data)  # noqa: S302  # written by ourselves, to a pipe that nobody else has
