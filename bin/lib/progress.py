"""What a command shows while it works: each step, with the seconds since the start."""

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from typing import TextIO

STARTED_VARIABLE = "TESSERA_COMMAND_STARTED"
"""Carries the instant of the start (seconds of the epoch) over the change from the system's Python to `.venv`'s."""

HEARTBEAT_SECONDS = 10.0
"""How often a step that still runs says so where the output is no terminal."""


def _command_started() -> float:
    """The instant at which the command was called; taken out of the environment, children have a start of their own."""
    return float(os.environ.pop(STARTED_VARIABLE, "") or time.time())


class Progress:
    """Prints steps. In a terminal the running step's line is redrawn; elsewhere each step has lines of its own."""

    def __init__(self, out: TextIO | None = None) -> None:
        self.out = out if out is not None else sys.stdout
        self.started = _command_started()
        """When the command was called, in seconds of the epoch."""
        self.live = self.out.isatty() and os.environ.get("TERM") != "dumb"
        self.steps: list[tuple[str, float]] = []
        self.note = ""
        """What the running step says of itself; set it from outside."""

    def seconds(self) -> float:
        """Seconds since the command was called."""
        return time.time() - self.started

    def say(self, text: str = "") -> None:
        """Prints text as it is."""
        print(text, file=self.out, flush=True)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Shows a step while its block runs, and how long it took."""
        self.note = ""
        begun = time.monotonic()
        over = threading.Event()
        if not self.live:
            self.say(f"{self.seconds():6.1f} s  {title} …")
        painter = threading.Thread(target=self._paint, args=(title, over), daemon=True)
        painter.start()
        outcome = "failed"
        try:
            yield
            outcome = "done"
        finally:
            over.set()
            painter.join()
            took = time.monotonic() - begun
            self.steps.append((title, took))
            clear = "\r\x1b[2K" if self.live else ""
            sign = "" if outcome == "done" else ": failed"
            self.say(f"{clear}{self.seconds():6.1f} s  {title}{sign} ({took:.1f} s)")

    def _paint(self, title: str, over: threading.Event) -> None:
        shown = ""
        pause = 0.2 if self.live else HEARTBEAT_SECONDS
        while not over.wait(pause):
            line = f"{self.seconds():6.1f} s  {title} … {self.note}".rstrip()
            if self.live:
                width = shutil.get_terminal_size().columns - 1
                self.out.write(f"\r\x1b[2K{line[:width]}")
                self.out.flush()
            elif self.note != shown or not self.note:
                shown = self.note
                self.say(line[:120])
