"""The online copy: never an older one over a newer, and never a wrong one, also with Redis away or emptied."""

from datetime import timedelta
from decimal import Decimal

import pytest
import redis
from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from apps.data.features import online
from apps.data.features.models import StaleCopy
from apps.data.features.online import copies_ask, copies_fill, copies_read, copies_void, stale_copies_void
from apps.data.features.selectors import NOW, features_read
from apps.data.features.services import orders_changed
from apps.data.features.tasks import stale_copies_sweep
from apps.foundation.core.clock import now
from tests.data.features.happenings import AS_OF, DAY, Did, Ordered, events_happen, order_place
from tests.factories import make_profile

pytestmark = pytest.mark.django_db
CLICK = "days_since_last_click"


def client(settings: Settings) -> "redis.Redis":
    return redis.Redis.from_url(settings.REDIS_URL)


def clicks(*profile_ids: int) -> list[object]:
    read = copies_read(profile_ids=profile_ids, names=[CLICK], as_of=AS_OF)
    return [read[profile_id][CLICK] for profile_id in profile_ids]


def click(profile_id: int, days_ago: int = 0) -> None:
    events_happen([profile_id], [Did(0, "Email Link Clicked", AS_OF - days_ago * DAY)])


@pytest.fixture
def person() -> int:
    return make_profile(email=None).pk


def test_a_copy_is_read_without_the_database(person: int, django_assert_num_queries: object) -> None:
    click(person, 3)
    assert clicks(person) == [3], "made"
    with CaptureQueriesContext(connection) as queries:
        assert clicks(person) == [3]
        assert clicks(person, person) == [3, 3], "asked twice"
    assert len(queries) == 0


def test_an_event_is_seen_by_the_next_read(person: int) -> None:
    click(person, 3)
    assert clicks(person) == [3]
    click(person, 1)
    assert clicks(person) == [1]


def test_who_reads_before_a_commit_does_not_write_after_it(person: int, settings: Settings) -> None:
    """The read began before, the event commits, the reader writes what it had read."""
    seen = bytes(client(settings).get(f"features:{person}") or b"")  # type: ignore[arg-type]
    old = online._copies_make([person], AS_OF, 0)
    click(person)
    assert online._fill([person], [(seen, 0)], [old[person]]) == 0
    assert clicks(person) == [0]


def test_copies_that_were_asked_for_before_are_read_as_others(person: int, settings: Settings) -> None:
    other = make_profile(email=None).pk
    click(person, 3)
    click(other, 4)
    assert clicks(other) == [4]
    with copies_ask(profile_ids=[other, person, other]) as ahead:
        read = copies_read(profile_ids=[person], names=[CLICK], as_of=AS_OF, ahead=ahead)
        again = copies_read(profile_ids=[other, person], names=[CLICK], as_of=AS_OF, ahead=ahead)
    assert read == {person: {CLICK: 3}}
    assert again == {other: {CLICK: 4}, person: {CLICK: 3}}
    assert client(settings).get(f"features:{person}"), "made, and kept"


def test_who_asked_before_a_commit_does_not_write_after_it(person: int) -> None:
    click(person, 3)
    with copies_ask(profile_ids=[person]) as ahead:
        before = ahead.get([person])
        click(person, 1)
        assert before == ahead.get([person])
        copies_read(profile_ids=[person], names=[CLICK], as_of=AS_OF, ahead=ahead)
    assert clicks(person) == [1]


def test_copies_asked_of_a_redis_that_is_away_come_from_the_database(person: int, settings: Settings) -> None:
    click(person, 3)
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    with copies_ask(profile_ids=[person]) as ahead:
        read = copies_read(profile_ids=[person], names=[CLICK], as_of=AS_OF, ahead=ahead)
    assert read == {person: {CLICK: 3}}


def test_nobody_writes_while_somebody_changes(person: int, settings: Settings) -> None:
    with TestCase.captureOnCommitCallbacks(execute=True):
        copies_void(profile_ids=[person])
        assert copies_fill(profile_ids=[person], as_of=AS_OF) == 0, "a mark stands there"
    assert copies_fill(profile_ids=[person], as_of=AS_OF) == 1


def test_of_two_that_change_one_person_the_second_mark_stays(person: int) -> None:
    with TestCase.captureOnCommitCallbacks() as first:
        copies_void(profile_ids=[person])
    with TestCase.captureOnCommitCallbacks() as second:
        copies_void(profile_ids=[person])
    first[0]()
    assert copies_fill(profile_ids=[person], as_of=AS_OF) == 0, "the second has not committed yet"
    second[0]()
    assert copies_fill(profile_ids=[person], as_of=AS_OF) == 1


def test_a_mark_whose_process_died_ends_by_itself(person: int, settings: Settings) -> None:
    click(person, 2)
    with TestCase.captureOnCommitCallbacks():  # and never carried out
        copies_void(profile_ids=[person])
    assert 0 < client(settings).ttl(f"features:{person}") <= 600
    assert clicks(person) == [2], "from PostgreSQL meanwhile"


def test_redis_emptied(person: int, settings: Settings) -> None:
    click(person, 4)
    assert clicks(person) == [4]
    client(settings).flushdb()
    assert clicks(person) == [4]
    assert client(settings).exists(f"features:{person}") == 1, "written again by whoever read"


def test_redis_away(person: int, settings: Settings) -> None:
    click(person, 4)
    assert clicks(person) == [4]
    there = settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    click(person, 1)
    assert clicks(person) == [1], "from PostgreSQL"
    assert list(StaleCopy.objects.values_list("profile_id", flat=True)) == [person]
    stale_copies_sweep()
    assert StaleCopy.objects.count() == 1, "still away"
    settings.REDIS_URL = there
    stale_copies_sweep()
    assert not StaleCopy.objects.exists()
    assert clicks(person) == [1], "the copy from before is not used"


def test_a_change_of_too_many_to_name(person: int) -> None:
    order_place([person], Ordered(0, AS_OF - DAY, Decimal(5)))
    assert copies_read(profile_ids=[person], names=["lifetime_value"], as_of=AS_OF)[person]["lifetime_value"] == 5
    order_place([person], Ordered(0, AS_OF - DAY, Decimal(7)))
    with TestCase.captureOnCommitCallbacks(execute=True):
        orders_changed(profile_ids=None)
    assert copies_read(profile_ids=[person], names=["lifetime_value"], as_of=AS_OF)[person]["lifetime_value"] == 12
    assert stale_copies_void() == 0


def test_an_amount_that_no_copy_has_room_for(person: int) -> None:
    order_place([person], Ordered(0, AS_OF, Decimal(10) ** 17))
    for _ in range(2):
        read = copies_read(profile_ids=[person], names=["lifetime_value", "orders_count"], as_of=AS_OF)
        assert read == {person: {"lifetime_value": Decimal(10) ** 17, "orders_count": 1}}


def test_a_copy_of_other_definitions_is_not_read(person: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert clicks(person) == [None]
    with monkeypatch.context() as patch:
        patch.setattr(online, "_LAYOUT", online._LAYOUT + 1)
        with CaptureQueriesContext(connection) as queries:
            assert clicks(person) == [None]
    assert len(queries) == 1


def test_now_is_read_online_and_then_from_the_database(person: int) -> None:
    at = now()
    assert features_read(profile_ids=[person], names=["orders_count"], as_of=at)[person] == {"orders_count": 0}
    with CaptureQueriesContext(connection) as queries:
        features_read(profile_ids=[person], names=["orders_count"], as_of=at - timedelta(minutes=5))
    assert len(queries) == 0
    with CaptureQueriesContext(connection) as queries:
        features_read(profile_ids=[person], names=["orders_count"], as_of=at - NOW - timedelta(minutes=1))
    assert len(queries) == 1


def test_of_many_people_the_missing_are_read_in_one_statement(settings: Settings) -> None:
    people = [make_profile(email=None).pk for _ in range(5)]
    copies_fill(profile_ids=people[:3], as_of=AS_OF)
    with CaptureQueriesContext(connection) as queries:
        assert clicks(*people) == [None] * 5
    assert len(queries) == 1
    assert copies_read(profile_ids=[], names=[CLICK], as_of=AS_OF) == {}
    assert copies_read(profile_ids=people, names=[], as_of=AS_OF) == {person: {} for person in people}
