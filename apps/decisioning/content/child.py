"""What runs in the child process: jobs from a pipe, one after the other, within limits that it can't lift.

It has no Django, no settings and an empty environment. Once it is ready it can open nothing any more: no file, no
socket, not even another pipe (RLIMIT_NOFILE is 0; what is open stays open, and that is the pipe of its jobs and that
of its answers). Memory, the size of files and processor time are bounded too; the time on the wall is the keeper's
(`children.py`), who kills.
"""

import os
import resource
import select
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final

from .frames import HEAD, MAX_ANSWER, MAX_JOB, Frame, Types, frame_of, value_read, value_write
from .steps import steps_listen

MEMORY: Final = 256 * 1024 * 1024
"""Bytes of address space (RLIMIT_AS)."""
STEP_SECONDS: Final = 2
"""What one step of a job may take: a source that is compiled, or one render."""
_IN, _OUT = 0, 1
_LOOK_AFTER_KEEPER = 30.0


def serve(jobs: Mapping[str, Callable[..., Any]], types: Types, warm_up: Callable[[], object]) -> None:
    """Do jobs until the keeper is gone.

    warm_up: does what loads everything that is loaded late, because afterwards no file can be opened.
    """
    keeper = os.getppid()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warm_up()
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    steps_listen(_step)
    _send(Frame.READY, b"")
    while True:
        # The pipe's end says that the keeper is gone, unless a process that it forked holds the pipe too.
        while not select.select([_IN], [], [], _LOOK_AFTER_KEEPER)[0]:
            if os.getppid() != keeper:
                return
        head = _receive(HEAD.size)
        kind, length = HEAD.unpack(head) if head else (b"", 0)
        if kind != Frame.JOB.value or length > MAX_JOB:
            return
        _step("")
        try:
            name, args, kwargs = value_read(_receive(length), types)
            answer = value_write(jobs[name](*args, **kwargs), types)
        except MemoryError:
            _send(Frame.FAILURE, b"memory")
            return
        except Exception as error:  # noqa: BLE001  # whatever a job does, its keeper is told
            _send(Frame.FAILURE, _where(error).encode())
            return
        if len(answer) > MAX_ANSWER:
            _send(Frame.FAILURE, b"output")
            return
        _send(Frame.ANSWER, answer)


def _step(where: str) -> None:
    """Tell the keeper, and give this step its processor time: the whole second behind its two ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + STEP_SECONDS + 1, hard))
    _send(Frame.STEP, where[:200].encode("utf-8", "replace"))


def _where(error: Exception) -> str:
    """What went wrong and where in our code; never the text of the error, which may hold what people wrote."""
    last = traceback.extract_tb(error.__traceback__, limit=-1)
    place = f" in {last[0].name}, line {last[0].lineno}" if last else ""
    return f"{type(error).__name__}{place}"


def _receive(size: int) -> bytes:
    """That many bytes; fewer, and the process ends: its keeper is gone."""
    data = bytearray()
    while len(data) < size:
        part = os.read(_IN, min(size - len(data), 1 << 20))
        if not part:
            sys.exit(0)
        data += part
    return bytes(data)


def _send(kind: Frame, body: bytes) -> None:
    data = memoryview(frame_of(kind, body))
    while data:
        data = data[os.write(_OUT, data) :]
