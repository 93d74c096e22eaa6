"""After a restore nothing is done again that was due before: the installation that made the backup may have done it."""

from datetime import timedelta
from typing import Any

import pytest

from apps.decisioning.playbooks.journeys import journeys_advance
from apps.decisioning.playbooks.models import Journey, MailWant, Playbook, Run, TriggerMark
from apps.decisioning.playbooks.restored import GivenUp, occasions_give_up
from apps.decisioning.playbooks.services import run_start, runs_start_due
from apps.decisioning.playbooks.triggers import triggers_look
from apps.foundation.governance.models import AuditEntry
from tests.factories import make_profile, make_published

from .test_triggers import happens, make_cart, person
from .travelling import MESSAGE, START, hours, make_followed

pytestmark = pytest.mark.django_db

WAITING: list[dict[str, Any]] = [{"kind": "wait", "for": {"hours": 3}}, {**MESSAGE, "id": "one"}]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is woken: each test says itself what happens."""
    for place in ("playbooks", "decisions"):
        monkeypatch.setattr(f"apps.decisioning.{place}.receivers.enqueue_on_commit", lambda *args: None)


def test_runs_journeys_and_mails_that_were_due_are_given_up() -> None:
    # given somebody whose step was due, somebody whose is not yet, a run under way, and a mail that waits
    playbook = make_followed(WAITING, trigger="event", event_name="Cart Updated", again_after_days=0)
    happens(person(), START + hours(1))
    triggers_look(at=START + hours(1))
    journeys_advance(at=START + hours(1))
    happens(person(), START + hours(3))
    triggers_look(at=START + hours(3))
    journeys_advance(at=START + hours(3))
    assert Journey.objects.filter(state="active").count() == 2
    run = run_start(playbook_id=make_published().pk, occasion_key="spring", trigger="hand", at=START)
    want = MailWant.objects.create(kind="link", profile=make_profile(), key="x", wanted_at=START)
    # when it was restored, at five hours
    assert occasions_give_up(at=START + hours(5)) == GivenUp(runs=1, journeys=1, mails=1)
    # then those are at their end, and the other goes on
    assert Run.objects.get(pk=run.pk).state == Run.State.CANCELLED
    assert list(Journey.objects.order_by("pk").values_list("state", flat=True)) == ["cancelled", "active"]
    want.refresh_from_db()
    assert (want.run_id, want.settled_at) == (None, START + hours(5))
    journeys_advance(at=START + hours(8))
    assert Run.objects.filter(playbook=playbook).exclude(step="").count() == 1
    assert AuditEntry.objects.filter(action="playbooks.restored.given_up").count() == 1
    # and again, nothing
    assert occasions_give_up(at=START + hours(5)).journeys == 0


def test_instants_and_events_of_the_time_before_begin_nothing() -> None:
    scheduled = make_published(trigger=Playbook.Trigger.SCHEDULE, schedule="0 * * * *", time_zone="UTC")
    assert scheduled.published is not None
    begun = scheduled.published.published_at
    assert begun is not None
    cart = make_cart()
    triggers_look(at=START)
    happens(person(), START + hours(1))
    occasions_give_up(at=begun + timedelta(hours=3))
    TriggerMark.objects.filter(playbook=cart).update(looked_at=START + hours(3))
    assert runs_start_due(at=begun + timedelta(hours=3, seconds=1)) == []
    # what comes afterwards is begun
    assert len(runs_start_due(at=begun + timedelta(hours=4, seconds=1))) == 1
