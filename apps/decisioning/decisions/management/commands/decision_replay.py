"""`manage.py decision_replay ID…`: compute decisions again from what was kept of them."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.replay import SAME, Replay, answer_replay, decisions_replay
from apps.foundation.core.errors import DomainError

_AT_ONCE = 1000


class Command(BaseCommand):
    """Reads only."""

    help = (
        "Compute decisions again, by the same engine, from what was kept of them, and say for each: same, differs, "
        "gone (its person was erased) or failed, and why. Ends with 1 if any differs or failed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", nargs="*", metavar="ID", help="of decisions; a message has that of its decision")
        parser.add_argument(
            "--run", type=int, help="all decisions of a run, by its number; only those that differ are told"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["ids"]) == (options["run"] is not None):
            raise CommandError("Name decisions, or a run by --run")
        rows = Decision.objects.select_related("run__version")
        counts: dict[str, int] = {}
        try:
            if options["run"] is None:
                found = list(rows.filter(pk__in=options["ids"]))
                self._tell(decisions_replay(found), counts, everything=True)
                rest = sorted(set(options["ids"]) - {str(row.pk) for row in found})
                self._tell([answer_replay(one) for one in rest], counts, everything=True)
            else:
                of_run, after = rows.filter(run=options["run"]).order_by("pk"), None
                while batch := list((of_run if after is None else of_run.filter(pk__gt=after))[:_AT_ONCE]):
                    self._tell(decisions_replay(batch), counts, everything=False)
                    after = batch[-1].pk
        except ValidationError:
            raise CommandError("An id looks like 019a2b3c-4d5e-7f00-8000-000000000000") from None
        except DomainError as error:
            raise CommandError(error.message) from error
        self.stdout.write(", ".join(f"{count:,} {state}" for state, count in sorted(counts.items())) or "none")
        if counts.keys() & {"differs", "failed"}:
            raise SystemExit(1)

    def _tell(self, replays: list[Replay], counts: dict[str, int], *, everything: bool) -> None:
        for one in replays:
            counts[one.state] = counts.get(one.state, 0) + 1
            if everything or one.state != SAME:
                outcomes = one.then if one.then == one.now or not one.now else f"{one.then}, now {one.now}"
                self.stdout.write(": ".join(filter(None, (f"{one.decision_id} {one.state}", outcomes, one.why))))
