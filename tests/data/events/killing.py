"""Sources of brokers as processes that are killed, and what came of what they took."""

import os

from apps.data.events.consuming import Consumer
from apps.data.events.recording import Recorded
from apps.data.events.stream import stream_look
from tests.preloaded import Started, start


def written_down() -> Recorded:
    """Write down all that waits; what came of it."""
    consumer = Consumer(seconds=0.0)
    while stream_look().entries:
        consumer.turn()
    return consumer.done


def source_start(more: dict[str, str], *words: str) -> Started:
    """`manage.py events_source …` as a process of its own."""
    return start("manage.py", "events_source", *words, env=os.environ | more)


def source_kill(running: Started, more: dict[str, str], *words: str) -> Started:
    """kill -9, and another in its place."""
    running.kill()
    running.wait(20)
    return source_start(more, *words)
