"""What people choose beside consent: each change is one row, holds at the gate, and can be undone."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from threading import Event, Thread
from typing import Any

import pytest
from django.db import close_old_connections, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.data.consent.models import ConsentRecord, Gate, Interest, Preference, PreferenceChange, Topic
from apps.data.consent.preferences import (
    Chosen,
    Wanted,
    preference_change,
    preference_undo,
    preferences_change,
    preferences_read,
    quiet_read,
    value_of,
    zones_read,
)
from apps.data.consent.selectors import gate_read
from apps.data.consent.services import gate_lock
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound
from apps.foundation.core.wall_clock import Quiet
from tests.examples import tries
from tests.factories import make_profile

Kind = PreferenceChange.Kind
PAGE: dict[str, Any] = {"method": ConsentRecord.Method.PREFERENCES, "source": "test"}
SOON = (now() + timedelta(days=30)).astimezone(UTC).isoformat()


def make_offered() -> None:
    for code in ("offers", "news"):
        Topic.objects.get_or_create(code=code, defaults={"name": code})
        Interest.objects.get_or_create(code=code, defaults={"name": code})


def gate(profile_id: int, **terms: Any) -> str:
    asked = {"purpose": "marketing", "channel": "email"} | terms
    return gate_read(profile_ids=[profile_id], **asked)[profile_id].reason


def of(profile_id: int) -> Chosen:
    return preferences_read(profile_ids=[profile_id])[profile_id]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (Wanted(Kind.TOPIC, False, "offers"), "topic_off"),
        (Wanted(Kind.TOPIC, False, "news"), ""),
        (Wanted(Kind.CHANNEL, False, "email"), "channel_off"),
        (Wanted(Kind.CHANNEL, False, "sms"), ""),
        (Wanted(Kind.PAUSE, SOON), "paused"),
    ],
    ids=["topic", "other topic", "channel", "other channel", "pause"],
)
def test_a_choice_holds_at_the_gate_until_it_is_undone(wanted: Wanted, reason: str) -> None:
    make_offered()
    person = make_profile(consent=("marketing",)).pk
    version = Gate.objects.get(pk=person).version

    [change] = preferences_change(profile_id=person, changes=[wanted], **PAGE)

    assert gate(person, topic="offers") == reason
    assert gate(person, purpose="transactional", needs_consent=False, topic="offers") == ""
    assert Gate.objects.get(pk=person).version == version + 1
    assert preference_undo(profile_id=person, change_id=change.pk, **PAGE) is not None
    assert gate(person, topic="offers") == ""
    assert of(person) == Chosen()


@pytest.mark.django_db
def test_a_pause_ends_by_itself() -> None:
    person = make_profile(consent=("marketing",)).pk
    preference_change(profile_id=person, kind=Kind.PAUSE, value=SOON, **PAGE)

    assert gate(person, at=now() + timedelta(days=29)) == "paused"
    assert gate(person, at=now() + timedelta(days=31)) == ""


@pytest.mark.django_db
def test_consent_says_no_before_preferences_do() -> None:
    person = make_profile().pk
    preference_change(profile_id=person, kind=Kind.PAUSE, value=SOON, **PAGE)

    assert gate(person) == "no_consent"


@pytest.mark.django_db
def test_what_is_chosen_is_read_back() -> None:
    make_offered()
    profile = make_profile(time_zone="Asia/Tokyo", language="de")
    other = make_profile(time_zone="Asia/Tokyo")
    preferences_change(
        profile_id=profile.pk,
        changes=[
            Wanted(Kind.QUIET, {"start": "22:00", "end": "07:30"}),
            Wanted(Kind.TIME_ZONE, "Europe/Vienna"),
            Wanted(Kind.LANGUAGE, "pt_br"),
            Wanted(Kind.INTEREST, True, "news"),
            Wanted(Kind.FREQUENCY, "weekly"),
        ],
        **PAGE,
    )

    quiet = Quiet(time(22), time(7, 30))
    assert of(profile.pk) == Chosen(
        interests=("news",), frequency="weekly", quiet=quiet, time_zone="Europe/Vienna", language="pt-BR"
    )
    people = [profile.pk, other.pk]
    assert {pk: str(zone) for pk, zone in zones_read(profile_ids=people).items()} == {
        profile.pk: "Europe/Vienna",
        other.pk: "Asia/Tokyo",
    }
    assert {pk: (hours, str(zone)) for pk, (hours, zone) in quiet_read(profile_ids=people).items()} == {
        profile.pk: (quiet, "Europe/Vienna")
    }


@pytest.mark.django_db
def test_what_holds_already_is_not_recorded() -> None:
    person = make_profile().pk

    assert preference_change(profile_id=person, kind=Kind.FREQUENCY, value="each", **PAGE) is None
    assert not PreferenceChange.objects.exists()
    assert not Preference.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "subject", "value"),
    [
        (Kind.TOPIC, "unknown", False),
        (Kind.TOPIC, "offers", "no"),
        (Kind.CHANNEL, "pigeon", False),
        (Kind.INTEREST, "", True),
        (Kind.FREQUENCY, "", "hourly"),
        (Kind.FREQUENCY, "offers", "daily"),
        (Kind.QUIET, "", {"start": "22:00"}),
        (Kind.QUIET, "", {"start": "22:00", "end": "22:00"}),
        (Kind.QUIET, "", {"start": "25:00", "end": "07:00"}),
        (Kind.TIME_ZONE, "", "Mars/Olympus"),
        (Kind.LANGUAGE, "", "no language"),
        (Kind.PAUSE, "", "2020-01-01T00:00:00+00:00"),
        (Kind.PAUSE, "", "2999-01-01T00:00:00+00:00"),
        (Kind.PAUSE, "", "tomorrow"),
    ],
)
def test_what_is_no_choice_changes_nothing(kind: PreferenceChange.Kind, subject: str, value: Any) -> None:
    make_offered()
    person = make_profile().pk

    with pytest.raises(Invalid):
        preferences_change(
            profile_id=person, changes=[Wanted(Kind.CHANNEL, False, "sms"), Wanted(kind, value, subject)], **PAGE
        )

    assert not PreferenceChange.objects.exists()
    assert of(person) == Chosen()


@pytest.mark.django_db
def test_only_the_newest_of_its_kind_and_only_ones_own_is_undone() -> None:
    person, stranger = make_profile().pk, make_profile().pk
    daily, weekly = (
        preference_change(profile_id=person, kind=Kind.FREQUENCY, value=value, **PAGE) for value in ("daily", "weekly")
    )
    assert daily is not None
    assert weekly is not None

    with pytest.raises(Conflict):
        preference_undo(profile_id=person, change_id=daily.pk, **PAGE)
    with pytest.raises(NotFound):
        preference_undo(profile_id=stranger, change_id=weekly.pk, **PAGE)
    assert of(person).frequency == "weekly"

    assert preference_undo(profile_id=person, change_id=weekly.pk, **PAGE) is not None
    assert preference_undo(profile_id=person, change_id=weekly.pk, **PAGE) is None  # a double click
    assert of(person).frequency == "daily"
    assert PreferenceChange.objects.count() == 3


WANTED = st.one_of(
    st.builds(Wanted, st.just(Kind.TOPIC), st.booleans(), st.sampled_from(["offers", "news"])),
    st.builds(Wanted, st.just(Kind.CHANNEL), st.booleans(), st.sampled_from(["email", "sms"])),
    st.builds(Wanted, st.just(Kind.INTEREST), st.booleans(), st.sampled_from(["offers", "news"])),
    st.builds(Wanted, st.just(Kind.FREQUENCY), st.sampled_from(["each", "daily", "weekly"])),
    st.builds(Wanted, st.just(Kind.QUIET), st.sampled_from([None, {"start": "22:00", "end": "06:00"}])),
    st.builds(Wanted, st.just(Kind.TIME_ZONE), st.sampled_from(["", "Asia/Tokyo"])),
    st.builds(Wanted, st.just(Kind.LANGUAGE), st.sampled_from(["", "fr"])),
    st.builds(Wanted, st.just(Kind.PAUSE), st.sampled_from([None, SOON])),
)


def value(person: int, kind: str, subject: str) -> Any:
    return value_of(Preference.objects.filter(pk=person).first() or Preference(profile_id=person), Kind(kind), subject)


@pytest.mark.django_db
@settings(max_examples=tries(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(WANTED, st.integers(0, 3)), max_size=8))
def test_a_change_and_its_undoing_leave_everything_as_it_was(steps: list[tuple[Wanted, int]]) -> None:
    """The number says how often the change is undone, and its undoing undone. In the end the rows tell all of it."""
    with transaction.atomic():
        make_offered()
        person = make_profile().pk
        for wanted, undoings in steps:
            whole, was = of(person), value(person, wanted.kind, wanted.subject)
            made = preferences_change(profile_id=person, changes=[wanted], **PAGE)
            assert bool(made) == (was != wanted.value)
            for turn in range(undoings if made else 0):
                undone = preference_undo(profile_id=person, change_id=made[-1].pk, **PAGE)
                assert undone is not None
                made.append(undone)
                assert value(person, wanted.kind, wanted.subject) == (was if turn % 2 == 0 else wanted.value)
                if turn == 0:
                    assert {*of(person).interests} == {*whole.interests}
                    assert replace(of(person), interests=()) == replace(whole, interests=())
        told: dict[tuple[str, str], Any] = {}
        for change in PreferenceChange.objects.filter(profile_id=person).order_by("id"):
            assert change.before == told.get((change.kind, change.subject), change.before)
            told[change.kind, change.subject] = change.after
        assert told == {key: value(person, *key) for key in told}
        transaction.set_rollback(True)


@pytest.mark.django_db(transaction=True)
def test_a_change_waits_for_who_holds_the_gate_and_is_seen_by_the_next() -> None:
    person = make_profile(consent=("marketing",)).pk
    committed = Event()

    def pause() -> None:
        try:
            preference_change(profile_id=person, kind=Kind.PAUSE, value=SOON, **PAGE)
            committed.set()
        finally:
            close_old_connections()
            connection.close()

    with transaction.atomic():
        gate_lock(profile_ids=[person])
        thread = Thread(target=pause)
        thread.start()
        assert not committed.wait(0.3)
        assert gate(person) == ""
    thread.join(20)

    assert committed.is_set()
    with transaction.atomic():
        gate_lock(profile_ids=[person])
        assert gate(person) == "paused"
    assert preferences_read(profile_ids=[person])[person].paused_until == datetime.fromisoformat(SOON).astimezone(UTC)
