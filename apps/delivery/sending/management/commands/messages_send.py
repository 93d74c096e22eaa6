from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.delivery.sending.windows import kinds_set_up, messages_send


class Command(BaseCommand):
    help = "Send what is due, in this process and without Celery, until nothing is left or the time is up."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seconds", type=float, default=3600.0, help="stop after about so long (default: an hour)")

    def handle(self, *args: Any, **options: Any) -> None:
        left = False
        for kind in kinds_set_up():
            left |= messages_send(kind=kind, seconds=options["seconds"])
        self.stdout.write("something is left" if left else "nothing is due")
