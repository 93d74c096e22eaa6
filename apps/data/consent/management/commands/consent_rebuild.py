from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.data.consent.projection import differences, rebuild

_SHOWN = 100
_WORDS = {True: "agreed", False: "withdrawn", None: "nothing"}


class Command(BaseCommand):
    help = (
        "Make the projection of the consent ledger anew: what holds for each person, purpose and channel, by the "
        "newest record. Only what is wrong is written, each batch under the gates of its people; it may be "
        "stopped at any moment and run while messages go out. With --check nothing is written, and the exit code is 1 "
        "when ledger and projection don't say the same."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="compare only")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["check"]:
            self.stdout.write(f"{rebuild()} people put right")
            return
        count = 0
        for count, one in enumerate(differences(), 1):
            if count <= _SHOWN:
                self.stdout.write(
                    f"profile {one.profile_id}, {one.purpose} by {one.channel}: "
                    f"the ledger says {_WORDS[one.by_ledger]}, the projection {_WORDS[one.by_state]}"
                )
        if count:
            raise CommandError(f"{count} choices differ: run consent_rebuild to put them right")
        self.stdout.write("Ledger and projection say the same")
