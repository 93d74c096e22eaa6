"""`manage.py run_playbook`: starts once for an occasion, and says so the second time."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.decisioning.decisions.services import run_decide
from apps.decisioning.playbooks.models import Run
from apps.decisioning.playbooks.services import run_plan
from tests.factories import make_playbook, make_profile, make_published, make_user

pytestmark = pytest.mark.django_db


def _command(*args: str, **options: Any) -> str:
    out = StringIO()
    call_command("run_playbook", *args, stdout=out, **options)
    return out.getvalue()


def test_a_run_is_started_once() -> None:
    playbook = make_published()
    publisher = playbook.owner
    first = _command(playbook.code, "--occasion", "autumn", "--by", publisher.email, "--as-of", "2011-12-10T00:00Z")
    run = Run.objects.get()
    assert first == f"Run {run.pk} of {playbook} v1 for 'autumn' started\n"
    assert (run.started_by, run.as_of.isoformat()) == (publisher, "2011-12-10T00:00:00+00:00")
    again = _command(playbook.code, "--occasion", "autumn")
    assert "was started on" in again
    assert "nothing is sent twice" in again
    assert Run.objects.count() == 1


def test_waiting_shows_what_came_of_it_and_ends() -> None:
    playbook = make_published()
    make_profile()
    _command(playbook.code, "--occasion", "autumn")
    run = Run.objects.get()
    run_plan(run_id=run.pk)
    with pytest.raises(CommandError, match="Not through after 0 seconds"):
        _command(playbook.code, "--occasion", "autumn", "--wait", "0")
    run_decide(run_id=run.pk)
    told = _command(playbook.code, "--occasion", "autumn", "--wait", "5")
    assert told.splitlines()[-1] == ("decided: 1 people, 1 decided, 0 sent, 0 under way, 1 withheld (no_consent 1)")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["nothing", "--occasion", "x"], "There is no playbook nothing"),
        (["draft", "--occasion", "x"], "is not published"),
        (["draft", "--occasion", "x", "--by", "nobody@staff.example"], "Nobody works here"),
        (["draft", "--occasion", "x", "--as-of", "yesterday"], "write a moment"),
        (["draft", "--occasion", "x", "--as-of", "2011-13-01T00:00Z"], "--as-of"),
        (["draft", "--occasion", " "], "Name the occasion"),
    ],
)
def test_what_can_not_be_done_says_why(options: list[str], words: str) -> None:
    make_playbook(code="draft")
    with pytest.raises(CommandError, match=words):
        _command(*options)
    assert Run.objects.count() == 0


def test_an_outsider_starts_nothing() -> None:
    playbook = make_published()
    with pytest.raises(CommandError, match="You may not start runs"):
        _command(playbook.code, "--occasion", "x", "--by", make_user("publisher").email)
    assert Run.objects.count() == 0
