from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.delivery.sending.evidence import messages_settle, postfix_log_read, relay_log_read
from apps.delivery.sending.models import Message


class Command(BaseCommand):
    help = (
        "Settle uncertain messages by what the relay took: those in its log become sent. What is not in it stays "
        "uncertain: a log may be cut."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        logs = parser.add_mutually_exclusive_group(required=True)
        logs.add_argument(
            "--relay-log", type=Path, metavar="FILE", help="a line for each taken message: Message-ID, tab, recipient"
        )
        logs.add_argument("--postfix-log", type=Path, metavar="FILE", help="the log that Postfix writes by itself")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["relay_log"] or options["postfix_log"]
        read = relay_log_read if options["relay_log"] else postfix_log_read
        try:
            with path.open(encoding="utf-8", errors="replace") as lines:
                settled = messages_settle(taken=read(lines))
        except OSError as error:
            raise CommandError(f"{path} can't be read: {error.strerror}") from error
        left = Message.objects.filter(state=Message.State.UNCERTAIN).count()
        self.stdout.write(f"{settled} settled as sent, {left} still uncertain")
