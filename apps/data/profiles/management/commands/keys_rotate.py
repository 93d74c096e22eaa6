import signal
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.data.profiles.errors import MasterKeyMissing
from apps.data.profiles.rotation import (
    attribute_digests_rotate,
    data_keys_drop,
    data_keys_rotate,
    digests_behind,
    digests_rotate,
    keys_left,
    masters_rotate,
)


class _Stop(Exception):
    """Somebody asked to stop."""


class Command(BaseCommand):
    help = (
        "Bring everything over to the newest keys while all runs. First put the new key into MASTER_KEYS or "
        "LOOKUP_KEYS behind the others and restart every process; then put it in front, restart again, and run this. "
        "Wraps each person's data key with the first master key, and "
        "digests identifiers and sensitive attributes with the first "
        "lookup key. "
        "With --data-keys, makes new data keys and seals all values with them. Stop it any time (Ctrl-C); the next run "
        "goes on. At the end it says what still needs an old key: one that nothing needs may be taken out of the "
        "settings. What is append-only can be sealed anew by the database's owner only: run --data-keys with the "
        "owner's DATABASE_URL."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--data-keys", action="store_true", help="new data keys too, and all values sealed anew")
        parser.add_argument("--report", action="store_true", help="change nothing, only say what needs which key")

    def handle(self, *args: Any, **options: Any) -> None:
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        self._stopping = False
        try:
            if not options["report"]:
                masters_rotate(self._progress)
                digests_rotate(self._progress)
                attribute_digests_rotate(self._progress)
                if options["data_keys"]:
                    data_keys_rotate(self._progress)
                data_keys_drop(self._progress)
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

    def _progress(self, what: str, count: int) -> None:
        self.stdout.write(f"{count:,}  {what}")
        self.stdout.flush()
        if self._stopping:
            raise _Stop

    def _report(self) -> None:
        left = keys_left()
        for master, count in sorted(left.masters.items()):
            self.stdout.write(f"master key {master}: wraps {count:,} data keys")
        if left.data_keys:
            self.stdout.write(
                f"old data keys: {left.data_keys:,} are kept, until an hour has gone and nothing is sealed with them:"
                " run this again later"
            )
        for column in left.untouched:
            self.stdout.write(f"{column}: only the database's owner may seal it anew")
        needed = {who: behind for who, versions in left.digests.items() if (behind := digests_behind(versions))}
        for who, versions in needed.items():
            for version, count in sorted(versions.items()):
                self.stdout.write(f"lookup key {version}: still needed by {count:,} {who}")
        if not needed:
            self.stdout.write("lookup keys: nothing needs an older one")
