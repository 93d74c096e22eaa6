from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.delivery.sending.evidence import messages_settle, relay_log_read
from apps.delivery.sending.models import Message


class Command(BaseCommand):
    help = (
        "Settle uncertain messages by what the relay took: those in its log become sent. The log has a line for each "
        "accepted message: its Message-ID, a tab, the recipient. What is not in it stays uncertain: a log may be cut."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--relay-log", required=True, type=Path, metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with options["relay_log"].open(encoding="utf-8", errors="replace") as lines:
                settled = messages_settle(taken=relay_log_read(lines))
        except OSError as error:
            raise CommandError(f"{options['relay_log']} can't be read: {error.strerror}") from error
        left = Message.objects.filter(state=Message.State.UNCERTAIN).count()
        self.stdout.write(f"{settled} settled as sent, {left} still uncertain")
