"""After a restore: whatever was due before is given up, because the installation that made the backup may have done it.

What is restored knows nothing of what came after the backup. An occasion that lies before the moment of taking over may
have had its messages already; the same occasion would find no trace of them here. So it is left, and who wants it made
up starts a run by hand.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from apps.decisioning.audiences.rules import rule_parse
from apps.foundation.governance.services import audit_record

from .models import Journey, MailWant, Playbook, Run, TriggerMark
from .services import run_halt
from .triggers import members_renew


@dataclass(frozen=True, slots=True)
class GivenUp:
    """How many were given up."""

    runs: int
    journeys: int
    mails: int


def occasions_give_up(*, at: datetime) -> GivenUp:
    """Give up all that was due up to `at`: unfinished runs, journeys, system mail, instants of schedules, triggers.

    Journeys with nothing due yet go on.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        runs = list(
            Run.objects.filter(state__in=[Run.State.PLANNING, Run.State.DECIDING]).select_for_update(of=["self"])
        )
        for run in runs:
            run_halt(run, None)
        journeys = Journey.objects.filter(state=Journey.State.ACTIVE, due_at__lte=at).update(
            state=Journey.State.CANCELLED, due_at=None, ended_at=at, reason="restored from a backup"
        )
        mails = MailWant.objects.filter(settled_at=None, wanted_at__lte=at).update(settled_at=at)
        Playbook.objects.filter(published__spec__trigger=Playbook.Trigger.SCHEDULE).update(schedule_seen_at=at)
        for mark in TriggerMark.objects.select_related("playbook").select_for_update(of=["self"]):
            if mark.audience_rule is not None:
                members_renew(cursor, mark.playbook_id, rule_parse(mark.audience_rule), at)
        TriggerMark.objects.filter(looked_at__lt=at).update(looked_at=at)
        given_up = GivenUp(len(runs), journeys, mails)
        said = {"runs": given_up.runs, "journeys": given_up.journeys, "mails": given_up.mails}
        audit_record(action="playbooks.restored.given_up", actor=None, data=said)
    return given_up
