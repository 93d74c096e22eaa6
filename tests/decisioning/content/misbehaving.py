"""A child process whose jobs misbehave, each in its own way."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import mrml

from apps.decisioning.content.child import serve
from apps.decisioning.content.steps import step


def say(word: str) -> str:
    return word


def loop_for_ever() -> None:
    step("the loop")
    while True:
        pass


def sleep_for_ever() -> None:
    time.sleep(10_000)


def take_memory() -> int:
    return len(bytearray(300 * 1024 * 1024))


def double_memory() -> str:
    text = "x"
    while True:
        text += text


def answer_much() -> str:
    return "x" * (1024 * 1024)


def announce_much() -> None:
    os.write(1, b"A\xff\xff\xff\xff")
    time.sleep(10_000)


def write_garbage() -> None:
    os.write(1, b"Z\x00\x00\x00\x00")
    time.sleep(10_000)


def answer_no_value() -> None:
    os.write(1, b'A\x00\x00\x00\x08{"":"os"}'[:13])
    time.sleep(10_000)


def nest_wrappers() -> str:
    return str(mrml.to_html("<mjml><mj-body>" + "<mj-wrapper>" * 2000 + "</mj-wrapper>" * 2000 + "</mj-body></mjml>"))


def nest_divs() -> str:
    return str(
        mrml.to_html(
            "<mjml><mj-body><mj-section><mj-column><mj-text>"
            + "<div>" * 10_000
            + "</div>" * 10_000
            + "</mj-text></mj-column></mj-section></mj-body></mjml>"
        )
    )


def leave() -> None:
    os._exit(3)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stop_itself() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def fail() -> None:
    raise KeyError("what somebody wrote")


def take_steps(count: int, pause: float) -> int:
    for number in range(count):
        step(f"step {number}")
        time.sleep(pause)
    return count


def work(seconds: float) -> str:
    """Need so much of a processor."""
    while time.process_time() < seconds:
        pass
    return "done"


def _open_in_place_of_another() -> int:
    os.close(2)
    return os.open("/etc/hostname", os.O_RDONLY)


def look_around() -> dict[str, Any]:
    """What a job can reach: the environment, and whether it can open a file, a socket or a process."""
    faults = {}
    for name, reach in {
        "file": lambda: os.open("/etc/hostname", os.O_RDONLY),
        "keeper": lambda: os.open(f"/proc/{os.getppid()}/environ", os.O_RDONLY),
        "socket": lambda: socket.socket(),
        "pipe": os.pipe,
        "closed": _open_in_place_of_another,
    }.items():
        try:
            reach()
            faults[name] = "reached"
        except OSError as error:
            faults[name] = str(error.errno)
    return {"environment": dict(os.environ), "faults": faults}


JOBS: dict[str, Callable[..., Any]] = {
    job.__name__: job
    for job in (
        say, loop_for_ever, sleep_for_ever, take_memory, double_memory, answer_much, announce_much, write_garbage,
        answer_no_value, nest_wrappers, nest_divs, leave, kill_itself, stop_itself, fail, take_steps, work,
        look_around,
    )
}  # fmt: skip

if __name__ == "__main__":
    serve(JOBS, {}, lambda: None)
