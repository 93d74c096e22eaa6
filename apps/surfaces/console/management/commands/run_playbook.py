"""`manage.py run_playbook CODE --occasion KEY`: start a run, and if wanted wait until it is through."""

import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.dateparse import parse_datetime

from apps.decisioning.playbooks.models import Playbook, Run
from apps.decisioning.playbooks.services import run_start
from apps.delivery.sending.contracts import RunCounts
from apps.delivery.sending.tallies import Tally, run_tally
from apps.foundation.accounts.models import User
from apps.foundation.core.errors import DomainError

_WAIT_SECONDS = 3600
_PATIENCE = 60.0
"""Seconds that a count of a large run may take."""


class Command(BaseCommand):
    """Starts a playbook's run for an occasion. For the same occasion again it says so, starts nothing and exits 0.

    Workers do the work; with --wait this only looks on. Exit code 1: it can't start, or is not through in time.
    """

    help = "Start a run of a published playbook for an occasion"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("code", help="the playbook's code")
        parser.add_argument("--occasion", required=True, help="what it is for; the same one never sends twice")
        parser.add_argument("--as-of", help="the moment whose facts count, ISO 8601; now unless given")
        parser.add_argument("--by", help="address of the member of staff who starts it; needs the right to")
        parser.add_argument(
            "--wait", nargs="?", type=float, const=_WAIT_SECONDS, help="look on until it is through, at most so long"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        playbook = Playbook.objects.filter(code=options["code"]).first()
        if playbook is None:
            known = ", ".join(Playbook.objects.order_by("code").values_list("code", flat=True))
            raise CommandError(f"There is no playbook {options['code']}. There are: {known or 'none yet'}")
        by = None
        if options["by"] and (by := User.objects.filter(email__iexact=options["by"], is_active=True).first()) is None:
            raise CommandError(f"Nobody works here with the address {options['by']}")
        try:
            run = run_start(
                playbook_id=playbook.pk,
                occasion_key=options["occasion"],
                trigger=Playbook.Trigger.HAND,
                by=by,
                as_of=_moment(options["as_of"]) if options["as_of"] else None,
            )
        except DomainError as error:
            raise CommandError(error.message) from error
        if run.created:
            self.stdout.write(f"Run {run.pk} of {run.version} for {run.occasion_key!r} started")
        else:
            self.stdout.write(
                f"Run {run.pk} for {run.occasion_key!r} was started on {run.created_at:%Y-%m-%d %H:%M} UTC already "
                f"and is {run.get_state_display()}; nothing is sent twice"
            )
        if options["wait"] is not None:
            self._wait(run, options["wait"])

    def _wait(self, run: Run, seconds: float) -> None:
        until = time.monotonic() + seconds
        said = ""
        while True:
            run.refresh_from_db(fields=["state", "people"])
            tally = run_tally(run_id=run.pk, ended=run.ended, patience=_PATIENCE)
            line = _progress(run, tally.counts) if tally is not None else said
            if line != said:
                self.stdout.write(line)
                self.stdout.flush()
                said = line
            if tally is not None and _through(run, tally):
                return
            if time.monotonic() > until:
                raise CommandError(
                    f"Not through after {seconds:g} seconds. Is a worker running? "
                    "It goes on by itself; the same command with --wait looks on again"
                )
            time.sleep(0.5)


def _moment(text: str) -> datetime:
    """A moment; without a time zone it is UTC. Raises CommandError."""
    try:
        moment = parse_datetime(text)
    except ValueError as error:
        raise CommandError(f"--as-of: {error}") from error
    if moment is None:
        raise CommandError("--as-of: write a moment as in 2011-12-10T00:00Z")
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _through(run: Run, tally: Tally) -> bool:
    """Whether nothing of the run moves by itself any more."""
    counts = tally.counts
    if run.decided_at is not None and tally.counted_at < run.decided_at:
        return False  # counted before all were decided about
    if run.state == Run.State.CANCELLED:
        return counts.sending == 0
    return run.state == Run.State.DECIDED and not counts.queued and not counts.sending


def _progress(run: Run, counts: RunCounts) -> str:
    parts = [
        f"{run.get_state_display()}: {run.people} people",
        f"{counts.planned} decided",
        f"{counts.sent} sent",
        f"{counts.queued + counts.sending} under way",
    ]
    withheld = ", ".join(f"{reason} {count}" for reason, count in sorted(counts.withheld.items()))
    parts.append(f"{sum(counts.withheld.values())} withheld" + (f" ({withheld})" if withheld else ""))
    if counts.failed:
        parts.append("failed " + ", ".join(f"{reason} {count}" for reason, count in sorted(counts.failed.items())))
    if counts.uncertain:
        parts.append(f"{counts.uncertain} uncertain")
    if counts.cancelled:
        parts.append(f"{counts.cancelled} cancelled")
    return ", ".join(parts)
