"""Rebuilding from events: progress, stopping, going on; and what is told of the personal data in it."""

from datetime import timedelta
from io import StringIO

import pytest
import redis
from django.core.management import CommandError, call_command
from django.test import TestCase
from pytest_django import Settings

from apps.data.events.models import Event
from apps.data.features import services
from apps.data.features.models import EventDay, EventTally, Rebuilding, StaleCopy
from apps.data.features.online import copies_read
from apps.data.features.privacy import _forget, _values
from apps.data.features.services import Progress, features_rebuild
from apps.data.features.sql import name_id
from apps.data.features.tallies import tallies_forget
from apps.data.privacy.registry import Person
from tests.data.features.happenings import AS_OF, DAY, Did, events_happen
from tests.factories import make_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def people() -> list[int]:
    return [make_profile(email=None).pk for _ in range(3)]


def viewed(profile_id: int) -> object:
    return copies_read(profile_ids=[profile_id], names=["product_views_7d"], as_of=AS_OF)[profile_id][
        "product_views_7d"
    ]


def test_a_rebuild_mends_what_is_wrong(people: list[int], settings: Settings) -> None:
    events_happen(people, [Did(0, "Product Viewed", AS_OF), Did(1, "Product Viewed", AS_OF - DAY)])
    EventDay.objects.update(number=99)
    EventTally.objects.update(number=99)
    redis.Redis.from_url(settings.REDIS_URL).flushdb()
    assert viewed(people[0]) == 99
    out = StringIO()
    with TestCase.captureOnCommitCallbacks(execute=True):
        call_command("features_rebuild", stdout=out)
    assert [viewed(profile_id) for profile_id in people] == [1, 1, 0]
    assert "Done: 3 people" in out.getvalue()
    assert set(EventTally.objects.values_list("profile_id", "name_id", "number")) == {
        (people[0], name_id("Product Viewed"), 1),
        (people[1], name_id("Product Viewed"), 1),
    }


def test_a_rebuild_that_is_stopped_goes_on(people: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_PORTION", 1)
    told: list[Progress] = []
    came = features_rebuild(told=told.append, tallies=False, stop=lambda: len(told) == 2)
    assert came == Progress(2, 2, done=False)
    assert Rebuilding.objects.get().after_profile == people[1]
    late = make_profile(email=None).pk
    assert features_rebuild(told=told.append, tallies=False) == Progress(1, 1, done=True)
    assert not Rebuilding.objects.exists()
    assert late > people[2], "made meanwhile: whoever asks for it makes its copy"


def test_a_rebuild_without_redis_says_so(people: list[int], settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with pytest.raises(CommandError, match="Run this again"):
        call_command("features_rebuild", "--copies", stdout=StringIO())


def test_old_days_are_forgotten_and_what_they_added(people: list[int]) -> None:
    days = [Did(0, "Product Viewed", AS_OF - ago * DAY) for ago in (0, 5, 40, 40)]
    events_happen(people, [*days, Did(1, "Product Viewed", AS_OF - 50 * DAY)])
    assert tallies_forget(AS_OF - 30 * DAY, 10) == 2
    assert list(EventTally.objects.values_list("profile_id", "number", "first_at", "last_at")) == [
        (people[0], 2, AS_OF - 5 * DAY, AS_OF)
    ]
    assert EventDay.objects.count() == 2
    assert tallies_forget(AS_OF - 30 * DAY, 10) == 0


def test_a_person_is_told_and_forgotten(people: list[int]) -> None:
    events_happen(people, [Did(0, "Email Link Clicked", AS_OF), Did(1, "Email Link Clicked", AS_OF)])
    StaleCopy.objects.create(profile_id=people[0])
    told = {row["what"]: row["value"] for row in _values(people[0])}
    assert "Whole days since a link in a message was last clicked." in told
    assert _forget(Person(people[0])).count == 2
    Event.objects.filter(profile_id=people[0]).delete()
    assert not EventDay.objects.filter(profile_id=people[0]).exists()
    assert not StaleCopy.objects.exists()
    read = copies_read(profile_ids=people[:2], names=["days_since_last_click"], as_of=AS_OF)
    assert [read[one]["days_since_last_click"] for one in people[:2]] == [None, 0]


def test_events_of_nobody_count_for_nobody(people: list[int]) -> None:
    events_happen([None], [Did(0, "Product Viewed", AS_OF)])  # type: ignore[list-item]
    assert not EventTally.objects.exists()


def test_first_and_last_whatever_the_order(people: list[int]) -> None:
    for hours in (5, 1, 9):
        events_happen(people, [Did(0, "Product Viewed", AS_OF - timedelta(hours=hours))] * 2)
    [day] = EventDay.objects.all()
    [tally] = EventTally.objects.all()
    expected = (6, AS_OF - timedelta(hours=9), AS_OF - timedelta(hours=1))
    assert (day.number, day.first_at, day.last_at) == (tally.number, tally.first_at, tally.last_at) == expected
