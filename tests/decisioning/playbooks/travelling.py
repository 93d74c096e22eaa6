"""Published playbooks with steps, and what people got by them, for tests in which the moment is given."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.services import run_decide
from apps.decisioning.playbooks.journeys import journeys_advance
from apps.decisioning.playbooks.models import Playbook, PlaybookVersion, Run
from apps.decisioning.playbooks.services import playbook_publish, playbook_submit, playbook_update, run_plan
from apps.decisioning.playbooks.triggers import triggers_look
from tests.factories import approve, make_playbook

START = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)
"""A Monday, some weeks before the clocks change in Europe."""

MESSAGE: dict[str, Any] = {"kind": "message"}


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def make_steps(playbook: Playbook, steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Steps in which each message has the playbook's template and slots."""
    made: list[dict[str, Any]] = []
    for step in steps:
        one = dict(step)
        if one["kind"] == "message":
            one |= {"template": playbook.template_id, "slots": playbook.slots}
        for way in ("then", "else"):
            if way in one:
                one[way] = make_steps(playbook, one[way])
        made.append(one)
    return made


def make_followed(steps: Sequence[Mapping[str, Any]], *, at: datetime = START, **fields: Any) -> Playbook:
    """A playbook with steps, published at a moment."""
    playbook = make_playbook(**fields)
    playbook_update(playbook_id=playbook.pk, by=playbook.owner, steps=make_steps(playbook, steps))
    return publish(playbook, at)


def publish(playbook: Playbook, at: datetime) -> Playbook:
    """Hand in, approve and publish what a playbook says now."""
    version = approve(playbook_submit(playbook_id=playbook.pk, by=playbook.owner))
    playbook_publish(version_id=version.pk, by=playbook.owner)
    PlaybookVersion.objects.filter(pk=version.pk).update(published_at=at)
    playbook.refresh_from_db()
    return playbook


def tick(at: datetime) -> None:
    """Everything that workers and beat do at a moment."""
    triggers_look(at=at)
    for run_id in Run.objects.filter(state=Run.State.PLANNING).values_list("pk", flat=True):
        run_plan(run_id=run_id)
    journeys_advance(at=at)
    for run_id in Run.objects.filter(state=Run.State.DECIDING).order_by("pk").values_list("pk", flat=True):
        run_decide(run_id=run_id, at=at)


def got(playbook: Playbook) -> Counter[tuple[int, str, str]]:
    """How often each person was decided about, by step and outcome."""
    rows = Decision.objects.filter(run__playbook=playbook).values_list("profile_id", "run__step", "outcome")
    return Counter(rows)


def sent(playbook: Playbook) -> dict[str, list[int]]:
    """Who was sent each step's message, in ascending order, as often as it was."""
    found: dict[str, list[int]] = {}
    for (profile_id, step, outcome), times in sorted(got(playbook).items()):
        if outcome == "send":
            found.setdefault(step, []).extend([profile_id] * times)
    return found
