"""Runs: once for an occasion, from a published version only, and on schedule."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from apps.decisioning.playbooks.models import Playbook, Run, RunBatch
from apps.decisioning.playbooks.services import run_cancel, run_plan, run_start, runs_start_due
from apps.decisioning.playbooks.signals import run_batches_ready
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.foundation.governance.models import AuditEntry
from tests.factories import make_playbook, make_profile, make_published, make_user


@pytest.fixture
def ready() -> Iterator[list[int]]:
    """The runs that were told to be ready."""
    told: list[int] = []

    def note(run_id: int, **kwargs: object) -> None:
        told.append(run_id)

    run_batches_ready.connect(note)
    yield told
    run_batches_ready.disconnect(note)


def _start(playbook: Playbook, key: str = "autumn", **fields: object) -> Run:
    return run_start(playbook_id=playbook.pk, occasion_key=key, trigger="hand", **fields)  # type: ignore[arg-type]


@pytest.mark.django_db
def test_the_same_occasion_is_the_same_run() -> None:
    playbook = make_published()
    first, again, other = _start(playbook), _start(playbook, " autumn "), _start(playbook, "winter")
    assert (first.created, again.created, other.created) == (True, False, True)
    assert again.pk == first.pk != other.pk
    assert AuditEntry.objects.filter(action="playbooks.run.started").count() == 2


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_start_one_run() -> None:
    playbook = make_published()

    def start(_: int) -> tuple[int, bool]:
        try:
            run = _start(playbook)
            return run.pk, run.created
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        runs = list(threads.map(start, range(8)))
    assert len({pk for pk, _ in runs}) == 1
    assert sum(created for _, created in runs) == 1
    assert Run.objects.count() == 1


@pytest.mark.django_db
def test_a_draft_does_not_run() -> None:
    playbook = make_playbook()
    with pytest.raises(Conflict) as refused:
        _start(playbook)
    assert refused.value.code == "playbook_not_published"
    with pytest.raises(NotFound):
        run_start(playbook_id=0, occasion_key="x", trigger="hand")


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "  ", "x" * 121, "a\nb", "a\0b"])
def test_an_occasion_must_be_named(key: str) -> None:
    playbook = make_published()
    with pytest.raises(Invalid):
        _start(playbook, key)
    assert Run.objects.count() == 0


@pytest.mark.django_db
def test_facts_of_the_future_are_not_known() -> None:
    playbook = make_published()
    for moment in (now() + timedelta(hours=1), datetime(2020, 1, 1)):  # noqa: DTZ001  # naive on purpose
        with pytest.raises(Invalid):
            _start(playbook, as_of=moment)
    assert _start(playbook, as_of=datetime(2011, 12, 10, tzinfo=UTC)).as_of == datetime(2011, 12, 10, tzinfo=UTC)


@pytest.mark.django_db(transaction=True)
def test_the_audience_is_put_down_once(ready: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.decisioning.playbooks.services.BATCH", 2)
    people = [make_profile().pk for _ in range(5)]
    run = _start(make_published())
    people.append(make_profile().pk)  # the snapshot is taken by the worker, not at the start
    assert run_plan(run_id=run.pk) == 6
    assert run_plan(run_id=run.pk) == 0
    batches = list(RunBatch.objects.filter(run=run).order_by("number"))
    assert [batch.number for batch in batches] == [0, 1, 2]
    assert [pk for batch in batches for pk in batch.profile_ids] == people
    run.refresh_from_db()
    assert (run.state, run.people) == (Run.State.DECIDING, 6)
    assert ready == [run.pk]


@pytest.mark.django_db(transaction=True)
def test_a_crash_while_planning_leaves_nothing(ready: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.decisioning.playbooks.services.BATCH", 1)
    for _ in range(3):
        make_profile()
    run = _start(make_published())

    def dies(**kwargs: object) -> Iterator[list[int]]:
        yield [1]
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("apps.decisioning.playbooks.services.audience_ids", dies)
        with pytest.raises(KeyboardInterrupt):
            run_plan(run_id=run.pk)
    assert RunBatch.objects.count() == 0
    assert run_plan(run_id=run.pk) == 3
    assert ready == [run.pk]


@pytest.mark.django_db(transaction=True)
def test_an_empty_audience_is_decided_at_once(ready: list[int]) -> None:
    run = _start(make_published())
    assert run_plan(run_id=run.pk) == 0
    run.refresh_from_db()
    assert run.state == Run.State.DECIDED


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_run_is_not_planned(ready: list[int]) -> None:
    make_profile()
    run = _start(make_published())
    with pytest.raises(NotAllowed):
        run_cancel(run_id=run.pk, by=make_user("publisher"))
    run_cancel(run_id=run.pk, by=run.playbook.owner)
    assert run_plan(run_id=run.pk) == 0
    assert (RunBatch.objects.count(), ready) == (0, [])
    assert AuditEntry.objects.filter(action="playbooks.run.cancelled").count() == 1
    run_cancel(run_id=run.pk, by=make_user("administrator"))
    assert AuditEntry.objects.filter(action="playbooks.run.cancelled").count() == 1


# --- schedules ---

PUBLISHED_AT = datetime(2026, 3, 27, 12, tzinfo=UTC)


def _scheduled(expression: str = "30 2 * * *") -> Playbook:
    playbook = make_published(trigger="schedule", schedule=expression, time_zone="Europe/Vienna")
    Playbook.objects.update(schedule_seen_at=PUBLISHED_AT)
    return playbook


def _keys() -> list[str]:
    return list(Run.objects.order_by("pk").values_list("occasion_key", flat=True))


@pytest.mark.django_db
def test_a_schedule_starts_each_instant_once_through_the_change_of_clocks() -> None:
    _scheduled()
    moment = PUBLISHED_AT
    while moment < datetime(2026, 3, 30, 12, tzinfo=UTC):  # beat wakes it again and again
        moment += timedelta(minutes=20)
        runs_start_due(at=moment)
    assert _keys() == ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    assert AuditEntry.objects.filter(action="playbooks.schedule.skipped").count() == 0
    assert set(Run.objects.values_list("trigger", flat=True)) == {"schedule"}


@pytest.mark.django_db
def test_in_autumn_the_hour_that_comes_twice_runs_once() -> None:
    _scheduled()
    Playbook.objects.update(schedule_seen_at=datetime(2026, 10, 24, 12, tzinfo=UTC))
    for minutes in range(0, 36 * 60, 15):
        runs_start_due(at=datetime(2026, 10, 24, 12, tzinfo=UTC) + timedelta(minutes=minutes))
    assert _keys() == ["2026-10-25T00:30:00Z"]


@pytest.mark.django_db
def test_a_missed_instant_is_made_up_within_an_hour() -> None:
    _scheduled("0 * * * *")
    assert runs_start_due(at=PUBLISHED_AT + timedelta(minutes=59)) == []
    started = runs_start_due(at=PUBLISHED_AT + timedelta(hours=5, minutes=40))
    assert len(started) == 1
    assert _keys() == ["2026-03-27T17:00:00Z"]
    entry = AuditEntry.objects.get(action="playbooks.schedule.skipped")
    assert entry.data == {"count": 4, "first": "2026-03-27T13:00:00Z", "last": "2026-03-27T16:00:00Z"}
    assert runs_start_due(at=PUBLISHED_AT + timedelta(hours=5, minutes=41)) == []


@pytest.mark.django_db
def test_an_older_instant_is_skipped_and_audited_once() -> None:
    _scheduled()
    for minutes in (0, 1):
        assert runs_start_due(at=datetime(2026, 3, 28, 3, minutes, tzinfo=UTC)) == []
    assert _keys() == []
    assert AuditEntry.objects.get(action="playbooks.schedule.skipped").data["count"] == 1


@pytest.mark.django_db
def test_what_was_before_publishing_is_not_made_up() -> None:
    playbook = make_published(trigger="schedule", schedule="* * * * *")
    published = playbook.published
    assert published is not None
    assert published.published_at is not None
    assert runs_start_due(at=published.published_at) == []
    assert len(runs_start_due(at=published.published_at + timedelta(minutes=1))) == 1


@pytest.mark.django_db
def test_an_edited_schedule_waits_for_its_approval() -> None:
    playbook = _scheduled()
    Playbook.objects.filter(pk=playbook.pk).update(schedule="0 2 * * *", time_zone="UTC")
    runs_start_due(at=datetime(2026, 3, 28, 2, tzinfo=UTC))
    assert _keys() == ["2026-03-28T01:30:00Z"]


@pytest.mark.django_db
def test_one_playbook_that_can_not_run_does_not_stop_the_others() -> None:
    broken, fine = _scheduled(), _scheduled()
    assert broken.published is not None
    type(broken.published).objects.filter(pk=broken.published.pk).update(digest="0" * 64)
    at = datetime(2026, 3, 28, 2, tzinfo=UTC)
    assert len(runs_start_due(at=at)) == 1
    assert Run.objects.get().playbook_id == fine.pk
    assert AuditEntry.objects.get(action="playbooks.schedule.failed").data == {"error": "version_tampered"}
    assert runs_start_due(at=at) == []
