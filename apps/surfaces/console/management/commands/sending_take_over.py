from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from apps.decisioning.playbooks.restored import occasions_give_up
from apps.delivery.sending.home import held
from apps.delivery.sending.recovery import ledger_take_over
from apps.foundation.core.clock import now


class Command(BaseCommand):
    help = (
        "Go on with a ledger that was restored from a backup, or held by sending_hold. What waits in it may have gone "
        "out since the backup was made: it becomes uncertain and is not sent. What was due until now is given up: "
        "unfinished runs, journeys that are due, instants of schedules, system mail that waits. Then new occasions are "
        "sent again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--force", action="store_true", help="also where nothing is held")

    def handle(self, *args: Any, **options: Any) -> None:
        if not held() and not options["force"]:
            self.stdout.write("nothing is held: the ledger is where it was")
            return
        with transaction.atomic():
            uncertain = ledger_take_over()
            given_up = occasions_give_up(at=now())
        self.stdout.write(
            f"{uncertain} messages uncertain; given up: {given_up.runs} runs, {given_up.journeys} journeys, "
            f"{given_up.mails} system mails. Settle what you can: manage.py messages_settle --postfix-log FILE"
        )
