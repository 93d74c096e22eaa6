"""A schedule on each person's own wall: everybody at their own hour, through both changes of the clocks."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.urls import reverse

from apps.data.profiles.models import Profile
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.selectors import dispatch_terms
from apps.decisioning.decisions.services import run_decide
from apps.decisioning.playbooks.errors import PlaybookInvalid
from apps.decisioning.playbooks.models import Playbook, Run
from apps.decisioning.playbooks.own_time import moment_of, run_ends, schedule_problem_own, wall_of
from apps.decisioning.playbooks.services import run_plan, runs_start_due
from apps.foundation.core.wall_clock import zones_by_country
from tests.factories import make_playbook, make_profile, make_published, make_user


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is woken, and delivery takes nothing up."""
    monkeypatch.setattr("apps.decisioning.playbooks.receivers.enqueue_on_commit", lambda *args: None)
    monkeypatch.setattr("apps.decisioning.decisions.receivers.enqueue_on_commit", lambda *args: None)
    monkeypatch.setattr("apps.delivery.sending.receivers.dispatch_take_up", lambda **kwargs: 0)


@pytest.mark.parametrize(
    ("wall", "zone", "instant"),
    [
        ("2026-11-30T09:00", "Europe/Vienna", "2026-11-30T08:00Z"),
        ("2026-07-30T09:00", "Europe/Vienna", "2026-07-30T07:00Z"),
        ("2026-11-30T09:00", "Asia/Kolkata", "2026-11-30T03:30Z"),
        ("2026-11-30T09:00", "Pacific/Kiritimati", "2026-11-29T19:00Z"),
        ("2026-11-30T09:00", "Pacific/Pago_Pago", "2026-11-30T20:00Z"),
        ("2026-03-29T02:30", "Europe/Vienna", "2026-03-29T01:30Z"),  # skipped: 03:30 on the wall
        ("2026-03-29T03:00", "Europe/Vienna", "2026-03-29T01:00Z"),
        ("2026-10-25T02:30", "Europe/Vienna", "2026-10-25T00:30Z"),  # comes twice: the first
        ("2026-10-25T03:00", "Europe/Vienna", "2026-10-25T02:00Z"),
        ("2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-03T15:45Z"),  # they skip half an hour
    ],
)
def test_a_moment_is_that_time_on_the_wall(wall: str, zone: str, instant: str) -> None:
    assert moment_of(wall, ZoneInfo(zone)) == datetime.fromisoformat(instant)


def test_nobody_on_earth_comes_before_the_run_begins_or_after_it_ends() -> None:
    begins = datetime(2026, 11, 29, 19, tzinfo=UTC)
    wall = wall_of(begins)
    assert wall == "2026-11-30T09:00"
    for offset in range(-12, 15):
        zone = ZoneInfo(f"Etc/GMT{-offset:+}" if offset else "UTC")
        assert begins <= moment_of(wall, zone) <= run_ends(wall, 1) - timedelta(hours=1)
    assert moment_of(wall, ZoneInfo("Etc/GMT-14")) == begins
    assert moment_of(wall, ZoneInfo("Etc/GMT+12")) == run_ends(wall, 0)


def test_a_country_has_the_zone_in_which_most_people_live() -> None:
    found = zones_by_country()
    expected = {
        "AT": "Europe/Vienna", "DE": "Europe/Berlin", "US": "America/New_York", "RU": "Europe/Moscow",
        "AU": "Australia/Sydney", "BR": "America/Sao_Paulo", "ES": "Europe/Madrid", "IN": "Asia/Kolkata",
    }  # fmt: skip
    assert {country: found[country].key for country in expected} == expected
    assert found.get("") is None


@pytest.mark.parametrize(
    ("expression", "good"),
    [("0 9 * * MON", True), ("30 14 1 * *", True), ("*/5 9 * * *", False), ("0 9,17 * * *", False)],
)
def test_a_schedule_must_name_one_time_of_a_day(expression: str, good: bool) -> None:
    assert (schedule_problem_own(expression) == "") is good


def _zoned() -> Iterator[tuple[str, Profile]]:
    agreed = ("marketing",)
    yield "2031-11-24T00:00Z", make_profile(consent=agreed, time_zone="Asia/Tokyo")
    yield "2031-11-24T08:00Z", make_profile(consent=agreed, time_zone="Europe/Vienna", country="US")
    yield "2031-11-24T08:00Z", make_profile(consent=agreed, country="DE")  # by country
    yield "2031-11-24T09:00Z", make_profile(consent=agreed, time_zone="Mars/Crater")  # the playbook's
    yield "2031-11-24T14:00Z", make_profile(consent=agreed, country="US")


@pytest.mark.django_db
def test_everybody_is_decided_about_at_their_own_hour_and_not_before() -> None:
    # given a schedule at nine on Mondays, and people all over the world
    make_published(
        trigger="schedule", schedule="0 9 * * MON", time_zone="Europe/London", own_zone=True, send_within_hours=2
    )
    Playbook.objects.update(schedule_seen_at=datetime(2031, 11, 21, tzinfo=UTC))
    due = {person.pk: datetime.fromisoformat(moment) for moment, person in _zoned()}
    begins = datetime(2031, 11, 23, 19, tzinfo=UTC)

    # when it ticks, then it begins where Monday, nine o'clock, comes first, and once
    assert runs_start_due(at=begins - timedelta(seconds=1)) == []
    [run_id] = runs_start_due(at=begins)
    assert runs_start_due(at=begins + timedelta(hours=14)) == []
    run = Run.objects.get(pk=run_id)
    assert (run.wall, run.occasion_key) == ("2031-11-24T09:00", "2031-11-24T09:00")
    assert dispatch_terms(run_id=run_id).not_after == datetime(2031, 11, 24, 23, tzinfo=UTC)
    assert run_plan(run_id=run_id) == len(due)

    # and each is decided about at their moment, and not a second before
    for moment in sorted(set(due.values())):
        assert run_decide(run_id=run_id, at=moment - timedelta(seconds=1)) == 0
        assert run_decide(run_id=run_id, at=moment) == sum(one == moment for one in due.values())
        assert dict(Decision.objects.filter(decided_at=moment).values_list("profile", "decided_at")) == {
            pk: moment for pk, one in due.items() if one == moment
        }
    run.refresh_from_db()
    assert (run.state, Decision.objects.exclude(outcome="send").count()) == (Run.State.DECIDED, 0)


@pytest.mark.django_db
def test_many_of_one_zone_are_parted_into_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.decisioning.playbooks.services.BATCH", 2)
    make_published(trigger="schedule", schedule="0 9 * * *", own_zone=True)
    Playbook.objects.update(schedule_seen_at=datetime(2031, 11, 27, tzinfo=UTC))
    people = [make_profile(time_zone=zone).pk for zone in ("Asia/Tokyo", "Europe/Vienna") for _ in range(3)]
    [run_id] = runs_start_due(at=datetime(2031, 11, 27, 19, tzinfo=UTC))
    run_plan(run_id=run_id)
    batches = Run.objects.get(pk=run_id).batches.order_by("number")
    assert [(f"{one.not_before:%d %H}", len(one.profile_ids)) for one in batches] == [
        ("28 00", 2),
        ("28 00", 1),
        ("28 08", 2),
        ("28 08", 1),
    ]
    assert sorted(pk for one in batches for pk in one.profile_ids) == people
    assert all(one.as_of == one.not_before for one in batches)  # facts are those of their own hour


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fields",
    [
        {"trigger": "hand"},
        {"trigger": "schedule", "schedule": "*/10 * * * *"},
    ],
)
def test_what_can_not_be_on_everybodys_wall_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(PlaybookInvalid) as error:
        make_playbook(own_zone=True, **fields)
    assert [problem.field for problem in error.value.problems] == ["own_zone"]
    assert not Playbook.objects.exists()


@pytest.mark.django_db
def test_pages_tell_when_it_comes_and_who_is_due_when(client: Client) -> None:
    playbook = make_published(trigger="schedule", schedule="0 9 * * *", own_zone=True)
    Playbook.objects.update(schedule_seen_at=datetime(2031, 11, 27, tzinfo=UTC))
    for zone in ("Asia/Tokyo", "Asia/Kolkata", "Asia/Kolkata", "America/New_York"):
        make_profile(time_zone=zone)
    [run_id] = runs_start_due(at=datetime(2031, 11, 27, 19, tzinfo=UTC))
    run_plan(run_id=run_id)
    run_decide(run_id=run_id, at=datetime(2031, 11, 28, 2, tzinfo=UTC))
    client.force_login(make_user("analyst"))

    page = " ".join(client.get(reverse("console:run", args=[run_id])).content.decode().split())
    rows = page.partition("Where each person is")[2].partition("</section>")[0]
    assert "on Friday, 28 November 2031, 09:00 on each person" in rows
    told = [piece.partition("<")[0] for piece in rows.split('<th scope="row">')[1:]]
    assert told == ["+9", "+5:30", "−5"]
    assert rows.count("to come") == 2

    form = client.get(f"/admin/playbooks/playbook/{playbook.pk}/change/").content.decode()
    assert "09:00 on each person&#x27;s own wall, as published" in form
