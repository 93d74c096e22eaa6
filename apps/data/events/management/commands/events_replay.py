"""Tries dead letters again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.data.events.models import DeadLetter
from apps.data.events.replaying import letters_replay


class Command(BaseCommand):
    help = "Try dead letters again, the oldest first: all, or those of a reason, source or name."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", help="only those set aside for this reason, such as does_not_fit")
        parser.add_argument("--source", help="only those of this source, such as api:web-shop")
        parser.add_argument("--name", help="only events of this name")
        parser.add_argument("--most", type=int, default=10_000, help="how many at most (default: 10,000)")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = {field: options[field] for field in ("reason", "source", "name") if options[field]}
        letters = DeadLetter.objects.filter(**wanted).order_by("failed_at", "pk")[: options["most"]]
        done = letters_replay(letter_ids=list(letters.values_list("pk", flat=True)))
        self.stdout.write(f"{done.written} written down, {done.known} known already, {done.again} set aside again")
