import json
import sys
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.data.features.definitions import FEATURES
from apps.data.features.training import training_rows
from apps.foundation.core.errors import Invalid


class Command(BaseCommand):
    help = (
        "Write features of people as they were known at moments, one JSON object a line, to train models on. Reads "
        'lines of JSON {"profile": 17, "at": "2026-05-01T08:00:00Z"} from a file, or from standard input. Only people '
        "who agreed that their data is learned from are written."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("moments", help="file with lines of JSON, or - for standard input")
        parser.add_argument("--features", default="", help="names with commas between; all of them unless given")

    def handle(self, *args: Any, **options: Any) -> None:
        names = [name.strip() for name in options["features"].split(",") if name.strip()] or list(FEATURES)
        try:
            if options["moments"] == "-":
                self._write(sys.stdin, names)
            else:
                with Path(options["moments"]).open(encoding="utf-8") as lines:
                    self._write(lines, names)
        except OSError as error:
            raise CommandError(f"The file can't be read: {error.strerror}") from error
        except Invalid as error:
            raise CommandError(error.message) from error

    def _write(self, lines: TextIO, names: list[str]) -> None:
        number = 0
        while batch := list(islice(lines, 1000)):
            moments: list[tuple[int, datetime]] = []
            for line in batch:
                number += 1
                try:
                    data = json.loads(line)
                    at = datetime.fromisoformat(data["at"])
                    if at.tzinfo is None:
                        raise ValueError
                    moments.append((int(data["profile"]), at))
                except (ValueError, KeyError, TypeError):
                    raise CommandError(
                        f'Line {number} is not like {{"profile": 17, "at": "2026-05-01T08:00:00Z"}}'
                    ) from None
            for row in training_rows(moments=moments, names=names):
                self.stdout.write(row)
