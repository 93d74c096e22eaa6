"""Answers by day, and decisions by age: what is too old goes, what is still needed stays."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from apps.decisioning.decisions.models import Answer, Decision, ItemShown
from apps.decisioning.decisions.partitions import answers_forget, answers_make, decisions_forget
from apps.decisioning.decisions.tasks import answers_tend
from apps.foundation.core.clock import now
from apps.foundation.core.ids import uuid7, uuid7_first
from tests.delivery.makers import make_run
from tests.factories import make_profile

DAY = timedelta(days=1)


def id_at(moment: datetime, number: int = 1) -> UUID:
    return UUID(int=uuid7_first(moment).int + number)


def tables() -> dict[UUID, str]:
    """Where each answer is."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, tableoid::regclass::text FROM decisions_answer")
        return {row[0]: row[1].removeprefix("decisions_answer_") for row in cursor.fetchall()}


def answer_put(*ids: UUID) -> None:
    Answer.objects.bulk_create(
        Answer(id=one, version_id=1, profile_id=1, outcome="send", sealed=b"x", decided_at=now()) for one in ids
    )


def parts() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'decisions_answer'::regclass"
        )
        return {row[0].removeprefix("decisions_answer_") for row in cursor.fetchall()}


@pytest.mark.django_db
def test_days_are_made_ahead_once_and_what_came_before_goes_over() -> None:
    at = datetime(2031, 12, 30, 23, 59, 59, 999_000, tzinfo=UTC)
    first, last = id_at(at), id_at(at + timedelta(milliseconds=1))
    answer_put(first, last)
    assert set(tables().values()) == {"default"}

    assert answers_make(at) == 8
    assert answers_make(at) == 0

    assert tables() == {first: "20311230", last: "20311231"}
    assert {"20311230", "20320106"} <= parts()
    with pytest.raises(IntegrityError), transaction.atomic():
        answer_put(first)


@pytest.mark.django_db
def test_whole_days_are_dropped_and_what_has_no_day_is_deleted_in_pieces() -> None:
    at = datetime(2001, 2, 3, 12, tzinfo=UTC)
    answers_make(at)
    old = [id_at(at, number) for number in range(3)]
    of_day_before = [id_at(at - DAY, number) for number in range(3)]
    kept = id_at(at + DAY)
    answer_put(*old, *of_day_before, kept)

    assert answers_forget(at + timedelta(hours=11), 2) == 2  # of the day without a table, two at most
    assert answers_forget(at + timedelta(hours=11), 2) == 1
    assert set(tables()) == {*old, kept}
    assert answers_forget(at + timedelta(hours=12), 2) == 3
    assert tables() == {kept: "20010204"}
    assert "20010203" not in parts()


@pytest.mark.django_db
def test_beat_makes_today_and_a_week() -> None:
    answers_tend()
    mine = uuid7()
    answer_put(mine)
    assert tables()[mine] in {f"{now():%Y%m%d}", "before"}
    assert {f"{now() + number * DAY:%Y%m%d}" for number in range(1, 8)} <= parts()


def test_an_installation_with_answers_upgrades_without_moving_one(own_database: str) -> None:
    # given answers of the time of one table, the newest made by a clock that is two days ahead
    MigrationExecutor(connection).migrate([("decisions", "0009_decisions_lock_no_runs")])
    person = make_profile()
    old, newest = id_at(now() - 200 * DAY), id_at(now() + 2 * DAY)
    with connection.cursor() as cursor:
        for one in (old, newest):
            cursor.execute(
                "INSERT INTO decisions_answer (id, version_id, profile_id, placement, client, outcome, tier, sealed,"
                " decided_at) VALUES (%s, 1, %s, 'home', 'shop', 'send', 'site', 'x', now())",
                [one, person.pk],
            )

    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("decisions"))

    # then they are where they were, found by person and id, and the days begin behind them
    assert tables() == {old: "before", newest: "before"}
    assert {row.pk: row.placement for row in person.answers.all()} == {old: "home", newest: "home"}
    mine, later = uuid7(), id_at(now() + 4 * DAY)
    answer_put(mine, later)
    assert (tables()[mine], tables()[later]) == ("before", f"{now() + 4 * DAY:%Y%m%d}")
    with pytest.raises(IntegrityError):
        answer_put(old)
    assert answers_make(now() + DAY) == 1

    # and go as they would have gone, the table of before at last
    assert answers_forget(now() - 90 * DAY, 10) == 1
    assert set(tables()) == {newest, mine, later}
    assert answers_forget(now() + 4 * DAY, 10) == 2
    assert set(tables()) == {later}
    assert "before" not in parts()


def decisions_put(moments: Iterable[datetime]) -> list[UUID]:
    ids = []
    for moment in moments:
        made = Decision.objects.create(
            id=id_at(moment), run=make_run(), profile=make_profile(), outcome="send", sealed=b"", decided_at=moment
        )
        ids.append(made.pk)
    return ids


@pytest.mark.django_db
def test_old_decisions_go_in_pieces_but_for_those_that_are_still_needed() -> None:
    at = now()
    _, needed, second, third, young = decisions_put(at - days * DAY for days in (500, 450, 400, 300, 99))
    ItemShown.objects.create(decision_id=needed, profile=make_profile(), item=b"x" * 16, shown_at=at)

    assert decisions_forget(at - 365 * DAY, 1) == 1
    assert set(Decision.objects.values_list("pk", flat=True)) == {needed, second, third, young}
    assert decisions_forget(at - 365 * DAY, 10) == 1
    assert decisions_forget(at - 365 * DAY, 10) == 0
    ItemShown.objects.all().delete()
    assert decisions_forget(at - 365 * DAY, 10) == 1
    assert set(Decision.objects.values_list("pk", flat=True)) == {third, young}


@pytest.mark.django_db
def test_nobody_makes_young_decisions_forgotten() -> None:
    young, _ = decisions_put([now() - 99 * DAY, now() - 101 * DAY])
    assert decisions_forget(now(), 10) == 1
    assert list(Decision.objects.values_list("pk", flat=True)) == [young]
