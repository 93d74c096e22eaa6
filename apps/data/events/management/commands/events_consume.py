"""Writes down the events that were accepted, until it is stopped."""

import signal
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.data.events.consuming import Consumer
from apps.foundation.core.memory import collect_less


class Command(BaseCommand):
    help = (
        "Write down the events that were accepted into the stream, in micro-batches, until SIGTERM or Ctrl-C. "
        "Run one or several; kill -9 loses nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--count", type=int, help="events that make a batch full (default: EVENT_BATCH_COUNT)")
        parser.add_argument(
            "--seconds", type=float, help="how long a batch gathers, at most 60 (default: EVENT_BATCH_SECONDS)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        collect_less()
        consumer = Consumer()
        if options["count"] is not None:
            consumer.count = options["count"]
        if options["seconds"] is not None:
            consumer.seconds = options["seconds"]
        if consumer.count < 1 or not 0 <= consumer.seconds <= 60:
            raise CommandError("A batch has at least 1 event, and gathers for 0 to 60 seconds")
        asked: list[int] = []

        def stop(number: int, frame: FrameType | None) -> None:
            asked.append(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        consumer.run(lambda: bool(asked))
        done = consumer.done
        self.stdout.write(f"{done.events} events written, {done.duplicates} known already, {done.dead} set aside")
