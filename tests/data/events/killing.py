"""Sources of brokers as processes that are killed, and what came of what they took."""

import os
import subprocess
import sys

from django.conf import settings

from apps.data.events.consuming import Consumer
from apps.data.events.recording import Recorded
from apps.data.events.stream import stream_look


def written_down() -> Recorded:
    """Write down all that waits; what came of it."""
    consumer = Consumer(seconds=0.0)
    while stream_look().entries:
        consumer.turn()
    return consumer.done


def source_start(more: dict[str, str], *words: str) -> "subprocess.Popen[bytes]":
    """`manage.py events_source …` as a process of its own."""
    command = [sys.executable, "manage.py", "events_source", *words]
    return subprocess.Popen(command, cwd=settings.BASE_DIR, env=os.environ | more)


def source_kill(running: "subprocess.Popen[bytes]", more: dict[str, str], *words: str) -> "subprocess.Popen[bytes]":
    """kill -9, and another in its place."""
    running.kill()
    running.wait(20)
    return source_start(more, *words)
