import signal
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.data.profiles.attribute_moving import values_left, values_move
from apps.data.profiles.errors import MasterKeyMissing


class _Stop(Exception):
    """Somebody asked to stop."""


class Command(BaseCommand):
    help = (
        "Seal the values of attributes that became sensitive, or open those of one that is to be clear again: what a "
        "worker does in the background, here and now. Which attributes is said in the admin. Stop it any time "
        "(Ctrl-C); the next run goes on. Sealed values were in the clear before, and PostgreSQL keeps deleted rows "
        "in its files for a while: once it is done, the database's owner can have the files written anew by "
        "VACUUM (FULL) profiles_profile, while nothing else runs."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--report", action="store_true", help="change nothing, only say what is left to do")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["report"]:
            self._report()
            return
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        self._stopping = False
        try:
            for definition_id, name in values_left().items():
                count = values_move(definition_id=definition_id, progress=self._progress)
                self.stdout.write(f"{name}: done, {count:,} values")
        except _Stop:
            self.stdout.write("Stopped. Nothing is lost: the next run goes on from here.")
        except MasterKeyMissing as error:
            raise CommandError(error.message) from error
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        self._report()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _progress(self, name: str, count: int) -> None:
        self.stdout.write(f"{count:,}  values of {name}")
        self.stdout.flush()
        if self._stopping:
            raise _Stop

    def _report(self) -> None:
        left = values_left()
        for name in sorted(left.values()):
            self.stdout.write(f"{name}: its values are still on their way")
        if not left:
            self.stdout.write("nothing is left to seal or open")
