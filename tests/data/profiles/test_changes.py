"""The feed of changes: in one order, none missing, whoever commits when."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier, Event
from typing import Any

import pytest
from django.db import connection, transaction

from apps.data.consent.models import ConsentRecord, ConsentState, Preference, PreferenceChange
from apps.data.consent.preferences import Wanted, preferences_change, preferences_plain, preferences_read
from apps.data.consent.services import consent_grant, consent_withdraw
from apps.data.profiles.addresses import identifier_put
from apps.data.profiles.changes import ChangesGone, changes_forget, changes_order, changes_reached, changes_read
from apps.data.profiles.models import Change, ChangeMark, ChangePending, Identifier, Profile
from apps.data.profiles.telling import profile_change, profile_version
from apps.delivery.webhooks.models import WebhookEvent
from apps.delivery.webhooks.services import endpoint_create
from apps.foundation.core.clock import now
from tests.factories import make_profile, make_purposes, make_user

Kind = Change.Kind
BY: dict[str, Any] = {"purpose": "marketing", "channel": "email", "method": ConsentRecord.Method.API, "source": "test"}


def told(after: int = 0) -> list[tuple[str, int, int]]:
    """What the feed says behind a place: kind, whom, version."""
    changes_order()
    return [(row.kind, row.profile_id, row.version) for row in changes_read(after=after, limit=1_000).rows]


def in_thread(work: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(_closing, work).result()


def _closing(work: Callable[[], object]) -> None:
    try:
        work()
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_whatever_changes_a_person_is_told_with_the_version_that_reading_gives() -> None:
    make_purposes()
    profile = Profile.objects.create(first_name="Ada")
    other = Profile.objects.create()

    def version() -> int:
        return profile_version(Profile.objects.get(pk=profile.pk))

    assert told() == [("profile", profile.pk, version()), ("profile", other.pk, profile_version(other))]
    steps: list[Callable[[], object]] = [
        lambda: profile_change(profile_id=profile.pk, fields={"country": "GB"}, attributes={}, source="t"),
        lambda: identifier_put(profile_id=profile.pk, kind="email", value="ada@example.com"),
        lambda: Identifier.objects.update(verified=True),
        lambda: Identifier.objects.all().delete(),
        lambda: connection.cursor().execute("UPDATE profiles_profile SET last_name = 'L' WHERE id = %s", [profile.pk]),
    ]
    for step in steps:
        place = changes_reached()
        step()
        assert told(place) == [("profile", profile.pk, version())]
    place = changes_reached()
    consent_grant(profile_id=profile.pk, **BY)
    state = ConsentState.objects.get()
    assert told(place) == [("consent", profile.pk, state.record_id)]
    last = Change.objects.latest("position")
    assert (last.purpose, last.channel, last.granted) == ("marketing", "email", True)
    ConsentState.objects.all().delete()
    told()
    assert Change.objects.latest("position").granted is None


@pytest.mark.django_db
def test_what_is_only_sealed_anew_is_no_change() -> None:
    profile = make_profile(email="ada@example.com")
    told()
    place = changes_reached()

    Identifier.objects.filter(profile=profile).update(sealed=b"other", digest=b"x" * 33)
    assert told(place) == []


@pytest.mark.django_db
def test_what_changed_twice_is_told_once_at_its_last_place() -> None:
    first, second = Profile.objects.create(), Profile.objects.create()
    Profile.objects.filter(pk=first.pk).update(country="GB")

    assert [whom for _, whom, _ in told()] == [second.pk, first.pk]
    assert not ChangePending.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_who_is_made_or_changed_with_addresses_in_one_transaction_is_noted_once() -> None:
    with transaction.atomic():
        profile = Profile.objects.create()
        for kind, value in (("email", "ada@example.com"), ("phone", "+436601234567")):
            identifier_put(profile_id=profile.pk, kind=kind, value=value)
    assert list(ChangePending.objects.values_list("profile_id", flat=True)) == [profile.pk]
    assert len(told()) == 1
    place = changes_reached()

    with transaction.atomic():
        Profile.objects.filter(pk=profile.pk).update(country="GB", updated_at=now())
        Identifier.objects.filter(kind="phone").delete()
    assert ChangePending.objects.count() == 1
    assert [whom for _, whom, _ in told(place)] == [profile.pk]


@pytest.mark.django_db(transaction=True)
def test_an_address_is_noted_although_a_change_of_its_person_was_taken_back() -> None:
    profile = Profile.objects.create()
    told()
    with transaction.atomic():
        with transaction.atomic():
            Profile.objects.filter(pk=profile.pk).update(country="GB", updated_at=now())
            transaction.set_rollback(True)
        identifier_put(profile_id=profile.pk, kind="email", value="ada@example.com")

    assert set(ChangePending.objects.values_list("profile_id", flat=True)) == {profile.pk}


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_not_told_and_leaves_no_gap() -> None:
    with transaction.atomic():
        Profile.objects.create()
        transaction.set_rollback(True)
    profile = Profile.objects.create()

    assert [whom for _, whom, _ in told()] == [profile.pk]
    assert list(Change.objects.values_list("position", flat=True)) == [1]


@pytest.mark.django_db(transaction=True)
def test_who_commits_late_comes_behind_what_was_read_before_and_is_not_missed() -> None:
    begun, go_on = Event(), Event()
    made: dict[str, int] = {}

    def slow() -> None:
        with transaction.atomic():
            made["slow"] = Profile.objects.create().pk  # its row of what waits is the first
            begun.set()
            assert go_on.wait(20)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_closing, slow)
        assert begun.wait(20)
        quick = Profile.objects.create()
        changes_order()
        part = changes_read(after=0, limit=10)
        assert [row.profile_id for row in part.rows] == [quick.pk]
        go_on.set()
        waiting.result()
    assert [whom for _, whom, _ in told(part.after)] == [made["slow"]]


@pytest.mark.django_db(transaction=True)
def test_readers_and_writers_at_once_miss_nothing_and_see_each_persons_changes_in_order() -> None:
    """Six writers change four people, in transactions of any length; two follow the feed all the while, and a webhook
    is told of the same."""
    make_purposes()
    kinds = ["profile.changed", "preference.changed"]
    endpoint_create(by=make_user("administrator"), name="CRM", url="https://crm.example/", kinds=kinds)
    people = [Profile.objects.create().pk for _ in range(4)]
    writers, begin, done = 6, Barrier(8), Event()

    def write(seed: int) -> None:
        lot = random.Random(seed)  # drawn again the same
        begin.wait(20)
        for _ in range(12):
            profile_id = lot.choice(people)
            with transaction.atomic():
                which = lot.random()
                if which < 0.3:
                    wanted = [Wanted(PreferenceChange.Kind.LANGUAGE, lot.choice(["de", "fr", "it"]))]
                    preferences_change(profile_id=profile_id, changes=wanted, method=BY["method"], source="test")
                elif which < 0.6:
                    act = consent_grant if lot.random() < 0.5 else consent_withdraw
                    act(profile_id=profile_id, **BY)
                else:
                    fields = {"first_name": f"{seed}-{lot.random()}"}
                    profile_change(profile_id=profile_id, fields=fields, attributes={}, source="t")
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_sleep(%s)", [lot.random() / 50])

    seen: dict[int, list[tuple[int, str, int, int]]] = {0: [], 1: []}

    def follow(reader: int) -> None:
        after = 0
        begin.wait(20)
        while True:
            last = done.is_set()
            changes_order()
            part = changes_read(after=after, limit=3)
            seen[reader] += [(row.position, row.kind, row.profile_id, row.version) for row in part.rows]
            after = part.after
            if last and not part.more:
                return

    with ThreadPoolExecutor(writers + 2) as pool:
        readers = [pool.submit(_closing, lambda reader=reader: follow(reader)) for reader in seen]  # type: ignore[misc]
        for one in [pool.submit(_closing, lambda seed=seed: write(seed)) for seed in range(writers)]:  # type: ignore[misc]
            one.result()
        while ChangePending.objects.exists():  # whoever finds another at it leaves the work to that one
            changes_order()
        done.set()
        for following in readers:
            following.result()
    first, second = seen.values()
    assert first == second
    assert [place for place, *_ in first] == list(range(1, len(first) + 1))
    newest: dict[tuple[str, int], int] = {}
    for _, kind, whom, version in first:
        assert version > newest.get((kind, whom), 0) or (kind == "profile" and version == newest[kind, whom])
        newest[kind, whom] = version
    expected = {("profile", one.pk): profile_version(one) for one in Profile.objects.all()}
    expected |= {("consent", one.profile_id): one.record_id for one in ConsentState.objects.all()}
    assert {key: version for key, version in newest.items() if key[0] != "preference"} == expected
    chose = {whom for kind, whom in newest if kind == "preference"}
    assert chose == set(Preference.objects.values_list("profile_id", flat=True)) != set()
    news = [event.payload["data"] for event in WebhookEvent.objects.all()]
    assert sorted((one["position"], one["profile"], one["version"]) for one in news) == [
        (place, whom, version) for place, kind, whom, version in first if kind != "consent"
    ]
    for whom, chosen in preferences_read(profile_ids=sorted(chose)).items():
        last = max(
            (one for one in news if one["profile"] == whom and "preferences" in one), key=lambda one: one["version"]
        )
        assert (last["version"], last["preferences"]) == (newest["preference", whom], preferences_plain(chosen))


@pytest.mark.django_db(transaction=True)
def test_while_one_orders_another_does_not_wait_for_it() -> None:
    Profile.objects.create()
    with transaction.atomic():
        ChangeMark.objects.select_for_update().get()
        in_thread(lambda: _is(changes_order(), 0))
    assert changes_order() == 1


def _is(one: object, other: object) -> None:
    assert one == other


@pytest.mark.django_db
def test_who_was_away_for_too_long_is_told_to_read_all_anew() -> None:
    for _ in range(3):
        Profile.objects.create()
        told()
    Change.objects.filter(position__lte=2).update(at=now() - timedelta(days=31))

    assert changes_forget(now() - timedelta(days=30), 100) == 2
    assert len(changes_read(after=2, limit=10).rows) == 1
    for place in (0, 1, 4):  # forgotten, and never reached, as in a database that was restored
        with pytest.raises(ChangesGone):
            changes_read(after=place, limit=10)


@pytest.mark.django_db
def test_webhooks_carry_the_versions_of_the_feed() -> None:
    make_purposes()
    kinds = ["profile.changed", "consent.changed"]
    endpoint_create(by=make_user("administrator"), name="CRM", url="https://crm.example/", kinds=kinds)
    profile = Profile.objects.create()
    consent_grant(profile_id=profile.pk, **BY)
    told()

    feed = {row.kind: row for row in Change.objects.all()}
    news = {event.kind: event.payload["data"] for event in WebhookEvent.objects.all()}
    about = {"profile": profile.pk, "version": profile_version(profile), "position": feed["profile"].position}
    assert news["profile.changed"] == about
    assert feed["profile"].version == about["version"]
    assert news["consent.changed"]["version"] == feed["consent"].version


@pytest.mark.django_db(transaction=True)
def test_webhooks_tell_of_what_somebody_prefers_whoever_changes_it_and_not_of_what_was_rolled_back() -> None:
    endpoint_create(by=make_user("administrator"), name="CRM", url="https://crm.example/", kinds=["preference.changed"])
    person = make_profile()

    with transaction.atomic():
        Preference.objects.create(profile=person, channels_off=["sms"])
        transaction.set_rollback(True)
    Preference.objects.create(profile=person, channels_off=["push"], frequency="weekly")
    changes_order()
    Preference.objects.filter(pk=person.pk).delete()
    changes_order()

    news = [event.payload["data"] for event in WebhookEvent.objects.order_by("id")]
    feed = Change.objects.filter(kind=Kind.PREFERENCE).order_by("position")
    assert [(one["profile"], one["version"], one["position"]) for one in news] == [
        (person.pk, row.version, row.position) for row in feed
    ]
    assert [(one["preferences"]["channels_off"], one["preferences"]["frequency"]) for one in news] == [
        (["push"], "weekly"),
        ([], "each"),
    ]
