"""Tables by month and day, and telling duplicates where two writers meet."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from django.db import connection, transaction

from apps.data.events import duplicates
from apps.data.events.duplicates import message_digest, messages_mark
from apps.data.events.models import Event, MessageSeen
from apps.data.events.partitions import partitions_drop, partitions_make
from apps.data.events.tasks import partitions_tend
from apps.foundation.core.clock import now


def tables(parent: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [parent])
        return sorted(row[0] for row in cursor.fetchall())


def event_at(moment: datetime, name: str = "A") -> Event:
    return Event.objects.create(name=name, occurred_at=moment, recorded_at=moment, message_id=f"{name}{moment}")


@pytest.mark.django_db
def test_months_and_days_are_made_ahead_once() -> None:
    at = datetime(2031, 11, 28, 23, 59, tzinfo=UTC)

    assert partitions_make(at) == 4 + 8
    assert partitions_make(at) == 0

    made = {f"events_event_{month}" for month in ("203111", "203112", "203201", "203202")}
    assert made <= set(tables("events_event"))
    assert {f"events_messageseen_2031{day}" for day in ("1128", "1205")} <= set(tables("events_messageseen"))


@pytest.mark.django_db
def test_what_came_before_its_month_was_made_goes_over_to_it() -> None:
    event = event_at(datetime(2031, 5, 31, 23, 59, tzinfo=UTC))
    later = event_at(datetime(2031, 6, 1, tzinfo=UTC))

    partitions_make(event.recorded_at)

    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text, id FROM events_event ORDER BY id")
        assert cursor.fetchall() == [("events_event_203105", event.pk), ("events_event_203106", later.pk)]


@pytest.mark.django_db
def test_old_months_are_dropped_as_a_whole_and_days_after_eight() -> None:
    for month in (1, 2):
        partitions_make(datetime(2001, month, 1, tzinfo=UTC))
    event_at(datetime(2001, 1, 31, 23, 59, tzinfo=UTC))
    kept = event_at(datetime(2001, 2, 1, tzinfo=UTC))

    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with checks to come can't be dropped; it isn't new

    gone = partitions_drop(events_before=datetime(2001, 2, 28, tzinfo=UTC), at=datetime(2001, 2, 9, tzinfo=UTC))

    assert gone == 1
    assert list(Event.objects.all()) == [kept]
    assert "events_event_200101" not in tables("events_event")
    days = [table for table in tables("events_messageseen") if "_2001" in table]
    assert min(days) == "events_messageseen_20010201"
    partitions_tend()


@pytest.mark.django_db
def test_the_applications_role_has_tables_made_and_can_make_none(django_db_blocker: Any) -> None:
    from django.conf import settings

    if not settings.APP_DB_ROLE:
        pytest.skip("APP_DB_ROLE is not set")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_has_role(current_user, %s, 'MEMBER')", [settings.APP_DB_ROLE])
        if not cursor.fetchone()[0]:
            pytest.skip("the tests' role may not act as the application's")
        cursor.execute(f'SET LOCAL ROLE "{settings.APP_DB_ROLE}"')
        assert partitions_make(datetime(2031, 1, 1, tzinfo=UTC)) > 0
        for statement in (
            "CREATE TABLE more PARTITION OF events_event FOR VALUES FROM ('2032-01-01') TO ('2032-02-01')",
            "DROP TABLE events_event_203101",
            "SELECT events_partition_make('events_event', 'x', '2033-01-01', '2033-02-01', 'recorded_at')",
        ):
            with pytest.raises(Exception, match=r"(must be owner|permission denied)"), transaction.atomic():
                cursor.execute(statement)
        event_at(datetime(2031, 1, 2, tzinfo=UTC))
        cursor.execute("RESET ROLE")


def test_of_two_who_write_the_same_message_at_once_one_is_first(own_database: str) -> None:
    digest, met = message_digest("api:web", "m"), []
    begun = threading.Event()

    def other() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            begun.set()
            met.append(messages_mark(cursor, [digest]))
        connection.close()

    with transaction.atomic(), connection.cursor() as cursor:
        first = messages_mark(cursor, [digest])
        thread = threading.Thread(target=other)
        thread.start()
        assert begun.wait(60)
        assert met == []  # it waits for this transaction
    thread.join(60)
    assert (first, met) == ({digest}, [set()])


def test_at_midnight_the_new_days_writer_waits_for_the_old_days(own_database: str) -> None:
    """One transaction writes into yesterday's table while another, of today, has the same message."""
    digest = message_digest("api:web", "m")
    today = now().date()
    url = connection.get_connection_params()
    late = psycopg2.connect(**{k: v for k, v in url.items() if k in ("dbname", "user", "password", "host", "port")})
    with late.cursor() as cursor:
        yesterday = today - timedelta(days=1)
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", [duplicates._LOCK, yesterday.toordinal()])
        cursor.execute("INSERT INTO events_messageseen (day, digest) VALUES (%s, %s)", [yesterday, str(digest)])
    met: list[set[Any]] = []

    def new_day() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            met.append(messages_mark(cursor, [digest]))
        connection.close()

    thread = threading.Thread(target=new_day)
    thread.start()
    thread.join(0.5)
    assert met == []
    late.commit()
    thread.join(60)
    late.close()
    assert met == [set()]
    assert list(MessageSeen.objects.values_list("day", flat=True)) == [yesterday]
