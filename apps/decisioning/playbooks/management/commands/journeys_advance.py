"""`manage.py journeys_advance`: look for triggers and move on whoever is due, as beat does every few seconds."""

from argparse import ArgumentParser
from datetime import UTC
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.dateparse import parse_datetime

from apps.decisioning.playbooks.journeys import journeys_advance
from apps.decisioning.playbooks.triggers import triggers_look
from apps.foundation.core.clock import now


class Command(BaseCommand):
    """Safe to call as often as wanted, also beside workers: nobody is moved on twice."""

    help = (
        "Look for what begins journeys, and move on everybody who is due. Beat does this every few seconds; by hand "
        "it is of use when no worker runs, or to catch up with a moment that has passed (--as-of)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--as-of", default="", help="the moment, ISO 8601, UTC unless it says otherwise; now if left out"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        at = now()
        if options["as_of"]:
            try:
                moment = parse_datetime(options["as_of"])
            except ValueError as error:
                raise CommandError(f"--as-of: {error}") from error
            if moment is None:
                raise CommandError("--as-of: write a moment as in 2026-12-10T00:00Z")
            at = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
            if at > now():
                raise CommandError("--as-of lies in the future: nobody is due then yet")
        begun = triggers_look(at=at)
        looked = journeys_advance(at=at)
        self.stdout.write(f"{begun} began, {looked} looked at, as of {at:%Y-%m-%d %H:%M:%S} UTC")
