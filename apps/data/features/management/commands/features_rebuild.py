import signal
from types import FrameType
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.data.features.services import Progress, features_rebuild


class Command(BaseCommand):
    help = (
        "Fold the tallies of all people from their events again, and write everybody's online copy into Redis. "
        "Everything works meanwhile: what has no copy is read from PostgreSQL. Stop it any time (Ctrl-C); the next run "
        "goes on where this one was."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--copies", action="store_true", help="only the online copies, as after Redis was emptied; much quicker"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        self._stopping = False
        try:
            came = features_rebuild(told=self._progress, tallies=not options["copies"], stop=lambda: self._stopping)
        except redis.RedisError as error:
            raise CommandError(f"Redis does not answer: {error}. Run this again when it does: it goes on.") from error
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if came.done:
            self.stdout.write(f"Done: {came.people:,} people, {came.copies:,} copies written.")
        else:
            self.stdout.write(f"Stopped after {came.people:,} people. The next run goes on from here.")

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _progress(self, progress: Progress) -> None:
        self.stdout.write(f"{progress.people:,} people")
        self.stdout.flush()
