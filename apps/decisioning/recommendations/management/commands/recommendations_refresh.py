"""`manage.py recommendations_refresh`: compute what sells and what is bought together."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.decisioning.recommendations.services import recommendation_set_refresh


class Command(BaseCommand):
    help = "Computes a new set of recommendations, if there are new orders since the last one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--as-of", default="", help="only orders up to this moment, ISO 8601; now by default")
        parser.add_argument("--force", action="store_true", help="also without new orders")

    def handle(self, *args: Any, as_of: str, force: bool, **options: Any) -> None:
        try:
            moment = datetime.fromisoformat(as_of) if as_of else None
        except ValueError as error:
            raise CommandError(f"--as-of {as_of}: not a moment such as 2011-12-10T00:00Z") from error
        if moment is not None and moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        made = recommendation_set_refresh(as_of=moment, force=force)
        self.stdout.write(
            f"{made}: {made.orders:,} orders, {made.best_sellers.count():,} places in lists of best sellers,"
            f" {made.neighbours.count():,} neighbours"
        )
