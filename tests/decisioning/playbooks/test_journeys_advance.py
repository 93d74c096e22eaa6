"""The command by which an operator moves journeys on."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.decisioning.playbooks.models import Journey
from apps.decisioning.playbooks.services import run_plan, run_start
from apps.foundation.core.clock import now
from tests.factories import make_profile

from .travelling import MESSAGE, START, make_followed

pytestmark = pytest.mark.django_db


def advance(as_of: str) -> str:
    out = StringIO()
    call_command("journeys_advance", as_of=as_of, stdout=out)
    return out.getvalue()


def test_whoever_is_due_by_then_is_moved_on() -> None:
    make_profile(consent=("marketing",))
    playbook = make_followed([MESSAGE, {"kind": "wait", "for": {"days": 2}}, MESSAGE])
    run_plan(run_id=run_start(playbook_id=playbook.pk, occasion_key="spring", trigger="hand", at=START).pk)
    assert advance("2025-03-03T08:59") == "0 began, 0 looked at, as of 2025-03-03 08:59:00 UTC\n"
    assert advance("2025-03-03T10:00+01:00") == "0 began, 1 looked at, as of 2025-03-03 09:00:00 UTC\n"
    assert Journey.objects.get().due_at == START + timedelta(days=2)


def test_a_moment_that_is_none_is_refused() -> None:
    for text in ("yesterday", "2025-13-01T00:00", (now() + timedelta(hours=1)).isoformat()):
        with pytest.raises(CommandError):
            advance(text)
