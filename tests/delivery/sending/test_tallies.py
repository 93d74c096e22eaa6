"""The figures of large runs: counted at most a twentieth of the time, kept, and never shown as newer than they are."""

from datetime import timedelta

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse

from apps.decisioning.playbooks.models import Run
from apps.delivery.sending import tallies
from apps.delivery.sending.models import Message, RunTally
from apps.delivery.sending.tallies import run_tally, run_tally_renew
from apps.foundation.core.clock import now
from apps.surfaces.console.dashboard import sent_by_day
from apps.surfaces.console.selectors import run_figures, runs_count_large, runs_page
from tests.factories import make_user
from tests.surfaces.ledger import make_dispatch, make_message, make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if each count took long enough to be kept."""
    monkeypatch.setattr(tallies, "QUICK", -1.0)


def make_half_sent() -> tuple[Run, Message]:
    """A run of two, one of whom is sent to, and the other's message."""
    run = make_run(people=2)
    make_dispatch(run)
    make_message(run=run)
    return run, make_message(run=run, state="queued")


def sent(message: Message) -> None:
    at = now()
    Message.objects.filter(pk=message.pk).update(state="sent", sending_at=at, finished_at=at)


def took(run: Run, *, seconds: float, ago: float) -> None:
    RunTally.objects.filter(pk=run.pk).update(seconds=seconds, counted_at=now() - timedelta(seconds=ago))


def test_a_small_run_is_counted_anew_each_time() -> None:
    run, other = make_half_sent()
    assert run_figures(run).sent == 1

    sent(other)

    assert run_figures(run).sent == 2
    assert not RunTally.objects.exists()


@pytest.mark.usefixtures("large")
def test_a_large_one_is_shown_as_it_was_until_twenty_times_as_long_is_over() -> None:
    run, other = make_half_sent()
    first = run_figures(run)
    sent(other)
    took(run, seconds=1.0, ago=19)

    kept = run_figures(run)
    assert (kept.sent, kept.waiting, kept.old) == (1, 1, True)
    assert kept.tiers == first.tiers
    assert kept.came_back == first.came_back

    took(run, seconds=1.0, ago=21)
    counted = run_figures(run)
    assert (counted.sent, counted.waiting, counted.old) == (2, 0, False)


@pytest.mark.usefixtures("large")
def test_past_patience_only_the_sweep_counts() -> None:
    run, other = make_half_sent()
    run_figures(run)
    sent(other)
    took(run, seconds=60.0, ago=86_400)

    assert run_figures(run).sent == 1
    assert run_tally_renew(run_id=run.pk, ended=run.ended)
    assert run_figures(run).sent == 2
    took(run, seconds=1.0, ago=19)
    assert not run_tally_renew(run_id=run.pk, ended=run.ended), "not yet"


@pytest.mark.usefixtures("large")
def test_what_was_counted_before_all_were_decided_about_is_not_the_end() -> None:
    run, other = make_half_sent()
    sent(other)
    run_figures(run)
    took(run, seconds=10.0, ago=60)
    run.state, run.decided_at = Run.State.DECIDED, now()
    run.save()

    assert run_figures(run).phase == "sending"
    assert run_figures(run).took is None


@pytest.mark.usefixtures("large")
def test_a_settled_run_is_counted_ever_more_rarely_and_lists_do_not_count_it() -> None:
    run, other = make_half_sent()
    run.state, run.decided_at = Run.State.DECIDED, now()
    run.save()
    assert not run_tally(run_id=run.pk, ended=True).settled  # type: ignore[union-attr]
    sent(other)
    took(run, seconds=0.01, ago=60)
    tally = run_tally(run_id=run.pk, ended=True)
    assert tally is not None
    assert tally.settled

    # its dispatch is a day old: a tenth of that must be over
    other.dispatch.created_at = now() - timedelta(days=1)
    other.dispatch.save()
    took(run, seconds=0.01, ago=3600)
    assert not run_tally_renew(run_id=run.pk, ended=True)
    Message.objects.filter(pk=other.pk).update(state="delivered")
    assert runs_page()[0][0].figures.came_back.delivered == 0, "a list does without"  # type: ignore[union-attr]
    assert run_figures(run).came_back.delivered == 1  # type: ignore[union-attr]


@pytest.mark.usefixtures("large")
def test_the_sweep_counts_large_runs_before_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = make_half_sent()
    assert runs_count_large(at=now()) == 0, "two people are few"

    monkeypatch.setattr("apps.surfaces.console.selectors._LARGE", 2)
    assert runs_count_large(at=now()) == 1
    assert RunTally.objects.get().run_id == run.pk
    assert runs_count_large(at=now() + timedelta(days=9)) == 0, "long over"


@pytest.mark.usefixtures("large")
def test_the_plot_of_days_is_the_same_with_and_without_what_is_kept() -> None:
    run, other = make_half_sent()
    sent(other)
    make_message(run=make_run(people=1))
    before = sent_by_day()

    run_figures(run)

    assert RunTally.objects.exists()
    assert sent_by_day() == before
    assert sum(bar.count for bar in before) == 3


@pytest.mark.django_db(transaction=True)
def test_who_looks_does_not_wait_for_a_count_that_takes_too_long() -> None:
    run, _ = make_half_sent()
    other = connections.create_connection("default")
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("LOCK TABLE decisions_decision IN ACCESS EXCLUSIVE MODE")
        assert run_tally(run_id=run.pk, ended=False, patience=0.2) is None
        other.rollback()
    finally:
        other.close()
    assert run_figures(run).sent == 1


def test_a_run_that_was_not_counted_yet_says_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = make_half_sent()
    client.force_login(make_user("analyst"))
    monkeypatch.setattr("apps.surfaces.console.selectors.run_tally", lambda **_: None)

    page = client.get(reverse("console:run", args=[run.pk])).content.decode()

    assert "So many people are counted in the background" in page
    assert "Finished" not in page
