import json
import sys
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.data.features.training import ROW_FEATURES, Asked, training_rows
from apps.foundation.core.errors import Invalid

_SKU_LONGEST = 80


class Command(BaseCommand):
    help = (
        "Write features of people as they were known at moments, one JSON object a line, to train models on; with them "
        "those of the moment where the person is, and of an item where a line names one. Reads lines of JSON "
        '{"profile": 17, "at": "2026-05-01T08:00:00Z"}, with "item": "T-100" where wanted, from a file, or from '
        "standard input. Only people who agreed that their data is learned from are written."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("moments", help="file with lines of JSON, or - for standard input")
        parser.add_argument(
            "--features",
            default="",
            help=f"names with commas between; all of them unless given: {', '.join(ROW_FEATURES)}",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        names = [name.strip() for name in options["features"].split(",") if name.strip()] or list(ROW_FEATURES)
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
            moments: list[Asked] = []
            for line in batch:
                number += 1
                try:
                    moments.append(_asked(json.loads(line)))
                except (ValueError, KeyError, TypeError):
                    raise CommandError(
                        f'Line {number} is not like {{"profile": 17, "at": "2026-05-01T08:00:00Z"}}, with '
                        '"item": "T-100" where it is about one'
                    ) from None
            for row in training_rows(moments=moments, names=names):
                self.stdout.write(row)


def _asked(data: Any) -> Asked:
    """What a line asks for. Raises ValueError, KeyError, TypeError."""
    at = datetime.fromisoformat(data["at"])
    item = data.get("item") or ""
    if at.tzinfo is None or not isinstance(item, str) or len(item) > _SKU_LONGEST or "\0" in item:
        raise ValueError
    item.encode()  # raises for half a character
    return Asked(int(data["profile"]), at, item)
