"""Merging profiles: the stricter side holds, undoing gives back what was there to the byte, nothing splits a merge."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.db import close_old_connections, connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.data.consent.chain import chain_verify
from apps.data.consent.models import ConsentRecord, ConsentState, Preference, PreferenceChange
from apps.data.consent.preferences import preference_change, preferences_read
from apps.data.consent.projection import differences
from apps.data.consent.services import consent_grant, consent_withdraw
from apps.data.events.models import Event, Visitor
from apps.data.events.services import event_record
from apps.data.features.models import EventTally
from apps.data.privacy.registry import Person, erase_steps
from apps.data.profiles.addresses import holders_of, identifier_lead, identifier_put, identifiers_read
from apps.data.profiles.changes import changes_order
from apps.data.profiles.merging import family_of, people_hold, profiles_merge, profiles_unmerge, survivor_of
from apps.data.profiles.models import Change, Identifier, Merge, Profile
from apps.decisioning.audiences.parsing import rule_parse
from apps.decisioning.audiences.selectors import audience_ids
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed
from apps.foundation.core.signing import address_digest
from tests.examples import tries
from tests.factories import make_profile, make_purposes, make_user

STAFF = Merge.Why.STAFF
_BY: dict[str, Any] = {"channel": "email", "method": ConsentRecord.Method.STAFF, "source": "test"}
_ROWS = {
    "profiles_profile": "id",
    "profiles_identifier": "profile_id",
    "profiles_sealedattribute": "profile_id",
    "consent_consentstate": "profile_id",
    "consent_preference": "profile_id",
    "events_event": "profile_id",
    "events_order": "profile_id",
    "events_ticket": "profile_id",
    "events_visitor": "profile_id",
    "features_eventtally": "profile_id",
    "features_eventday": "profile_id",
    "playbooks_journey": "profile_id",
    "playbooks_member": "profile_id",
}


def rows_of(*profile_ids: int) -> dict[str, list[str]]:
    """Every row of these people that a merge may touch, to the byte, without ledger and versions: these only grow."""
    found = {}
    with connection.cursor() as cursor:
        for table, column in _ROWS.items():
            moments = "'updated_at'" + (" - 'changed_at'" if table == "consent_preference" else "")
            row = f"(to_jsonb(held) - {moments})::text"
            cursor.execute(
                f"SELECT {row} FROM {table} AS held WHERE {column} = ANY(%s) ORDER BY 1",  # noqa: S608
                [list(profile_ids)],
            )
            found[table] = [row[0] for row in cursor.fetchall()]
    return found


def merge(kept: Profile, absorbed: Profile) -> Merge:
    return profiles_merge(kept_id=kept.pk, absorbed_id=absorbed.pk, why=STAFF)


def choose(profile: Profile, kind: PreferenceChange.Kind, value: object, subject: str = "") -> None:
    preference_change(
        profile_id=profile.pk, kind=kind, value=value, subject=subject, method=ConsentRecord.Method.STAFF, source="test"
    )


def did(profile: Profile, name: str, number: int) -> None:
    event_record(
        profile_id=profile.pk,
        name=name,
        message_id=f"{name}-{profile.pk}-{number}",
        occurred_at=now() - timedelta(days=1),
    )


@pytest.fixture
def director(db: None) -> User:
    return make_user("administrator")


_says = st.sampled_from(["", "grant", "withdraw"])
_side = st.fixed_dictionaries(
    {
        "marketing": _says,
        "tracking": _says,
        "first_name": st.sampled_from(["", "Anna"]),
        "attributes": st.dictionaries(st.sampled_from(["club", "size", "zip"]), st.sampled_from(["a", "b", 3, None])),
        "phone": st.sampled_from(["", "+436601234567", "+436601234568"]),
        "shared": st.booleans(),
        "verified": st.booleans(),
        "events": st.integers(0, 3),
        "channels_off": st.booleans(),
        "frequency": st.sampled_from(["", "daily", "weekly"]),
    }
)


def person_of(side: dict[str, Any]) -> Profile:
    profile = make_profile(first_name=side["first_name"], attributes=side["attributes"], email=None)
    for purpose in ("marketing", "tracking"):
        if side[purpose] == "grant":
            consent_grant(profile_id=profile.pk, purpose=purpose, **_BY)
        elif side[purpose]:
            consent_withdraw(profile_id=profile.pk, purpose=purpose, **_BY)
    own = {"value": f"own-{profile.pk}@example.com", "kind": "email", "verified": side["verified"]}
    shared = {"value": "shared@example.com", "kind": "email", "verified": side["verified"]}
    for one in [shared] * side["shared"] + [own]:
        identifier_put(profile_id=profile.pk, **one)
    if side["phone"]:
        identifier_put(profile_id=profile.pk, kind="phone", value=side["phone"], verified=side["verified"])
    identifier_put(profile_id=profile.pk, kind="external_id", value=f"shop:{profile.pk}")
    for number in range(side["events"]):
        did(profile, "Product Viewed", number)
    if side["channels_off"]:
        choose(profile, PreferenceChange.Kind.CHANNEL, False, "sms")
    if side["frequency"]:
        choose(profile, PreferenceChange.Kind.FREQUENCY, side["frequency"])
    Visitor.objects.create(digest=address_digest("device", f"shop:{profile.pk}"), profile=profile)
    return profile


@pytest.mark.django_db
@settings(max_examples=tries(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=_side, other=_side)
def test_the_stricter_side_holds_and_undoing_gives_everything_back(
    director: User, one: dict[str, Any], other: dict[str, Any]
) -> None:
    make_purposes()
    kept, absorbed = person_of(one), person_of(other)
    before = rows_of(kept.pk, absorbed.pk)

    made = merge(kept, absorbed)

    for purpose in ("marketing", "tracking"):
        said = {one[purpose], other[purpose]} - {""}
        state = ConsentState.objects.filter(profile=kept, purpose_id=purpose).first()
        assert (None if state is None else state.granted) == (None if not said else said == {"grant"})
    wishes = Preference.objects.filter(profile=kept).first() or Preference()
    assert ("sms" in wishes.channels_off) == (one["channels_off"] or other["channels_off"])
    often = [side["frequency"] or "each" for side in (one, other)]
    assert wishes.frequency == max(often, key="each daily weekly".find)
    assert not Identifier.objects.filter(profile=absorbed).exists()
    assert {("external_id", f"shop:{pk}") for pk in (kept.pk, absorbed.pk)} <= {
        (known.kind, known.value) for known in identifiers_read(profile_id=kept.pk)
    }
    happened = one["events"] + other["events"]
    assert Event.objects.filter(profile=kept).count() == happened
    assert sum(EventTally.objects.filter(profile=kept).values_list("number", flat=True)) == happened
    assert list(differences()) == []

    profiles_unmerge(merge_id=made.pk, actor=director)

    assert rows_of(kept.pk, absorbed.pk) == before
    assert list(differences()) == []


@pytest.mark.django_db
def test_what_came_since_stays_and_what_was_withdrawn_since_holds_for_both(director: User) -> None:
    make_purposes()
    kept, absorbed = make_profile(), make_profile(first_name="Bo")
    for profile in (kept, absorbed):
        consent_grant(profile_id=profile.pk, purpose="marketing", **_BY)
    made = merge(kept, absorbed)
    consent_withdraw(profile_id=absorbed.pk, purpose="marketing", **_BY)  # by a link of an old message
    did(absorbed, "Product Viewed", 1)
    new = identifier_put(profile_id=kept.pk, kind="email", value="new@example.com", verified=True)
    identifier_lead(profile_id=kept.pk, identifier_id=new)

    profiles_unmerge(merge_id=made.pk, actor=director)

    granted = dict(ConsentState.objects.values_list("profile_id", "granted"))
    assert granted == {kept.pk: False, absorbed.pk: False}
    assert [event.profile_id for event in Event.objects.all()] == [kept.pk]
    assert [known.value for known in identifiers_read(profile_id=kept.pk) if known.main] == ["new@example.com"]
    assert [known.main for known in identifiers_read(profile_id=absorbed.pk)] == [True]
    assert list(differences()) == []
    assert chain_verify(heads=[]).faults == []


@pytest.mark.django_db
def test_a_withdrawal_is_not_lifted_by_a_merge_nor_by_an_undone_one(director: User) -> None:
    kept, absorbed = make_profile(), make_profile(consent=("marketing",))
    consent_withdraw(profile_id=kept.pk, purpose="marketing", **_BY)
    made = merge(kept, absorbed)
    consent_grant(profile_id=kept.pk, purpose="marketing", **_BY)  # the person themselves, later
    profiles_unmerge(merge_id=made.pk, actor=director)
    assert dict(ConsentState.objects.values_list("profile_id", "granted")) == {kept.pk: True, absorbed.pk: True}


@pytest.mark.django_db
def test_merges_are_undone_from_the_newest_and_a_family_has_one_head(director: User) -> None:
    first, second, third = make_profile(), make_profile(), make_profile()
    inner = merge(second, third)
    outer = merge(first, second)
    assert family_of(first.pk) == [first.pk, second.pk, third.pk]
    assert survivor_of(third.pk) == first.pk
    assert people_hold([third.pk, first.pk, 10**15]) == {third.pk: first.pk, first.pk: first.pk, 10**15: 10**15}
    with pytest.raises(Conflict, match="undo that first"):
        profiles_unmerge(merge_id=inner.pk, actor=director)
    with pytest.raises(Conflict, match="merged into"):
        merge(third, first)
    with pytest.raises(Invalid):
        merge(first, first)

    profiles_unmerge(merge_id=outer.pk, actor=director)
    assert (family_of(first.pk), family_of(second.pk)) == ([first.pk], [second.pk, third.pk])
    with pytest.raises(Conflict, match="undone already"):
        profiles_unmerge(merge_id=outer.pk, actor=director)


@pytest.mark.django_db
def test_who_has_no_right_merges_nobody_and_nothing_changes() -> None:
    kept, absorbed, editor = make_profile(), make_profile(), make_user("local_editor")
    before = rows_of(kept.pk, absorbed.pk)
    with pytest.raises(NotAllowed):
        profiles_merge(kept_id=kept.pk, absorbed_id=absorbed.pk, why=STAFF, actor=editor)
    assert (rows_of(kept.pk, absorbed.pk), Merge.objects.count()) == (before, 0)


@pytest.mark.django_db
def test_a_merged_profile_is_in_no_audience_and_erasing_the_person_leaves_nothing_to_undo(director: User) -> None:
    kept, absorbed = make_profile(), make_profile(first_name="Canary")
    made = merge(kept, absorbed)
    assert list(audience_ids(rule=rule_parse({"all": []}), as_of=now())) == [[kept.pk]]
    for step in erase_steps():
        for number in family_of(kept.pk):
            step.erase(Person(number))
    made.refresh_from_db()
    assert made.moved == {}
    assert "Canary" not in orjson.dumps(rows_of(kept.pk, absorbed.pk)).decode()
    with pytest.raises(Conflict, match="erased"):
        profiles_unmerge(merge_id=made.pk, actor=director)


# --- at once ---


def at_once(*works: Callable[[], object]) -> None:
    """Run these side by side; the first error of any is raised."""
    faults: list[BaseException] = []
    ready = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        try:
            ready.wait(10)
            work()
        except Exception as error:  # noqa: BLE001  # whatever it is, the test says so
            faults.append(error)
        finally:
            close_old_connections()
            connection.close()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if faults:
        raise faults[0]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kept_first", [True, False])
def test_events_and_opt_outs_that_race_a_merge_are_the_persons(kept_first: bool) -> None:
    make_purposes()
    people = [make_profile(consent=("marketing",)), make_profile(consent=("marketing",))]
    kept, absorbed = people if kept_first else people[::-1]

    def events(start: int) -> None:
        for number in range(start, start + 15):
            did(absorbed, "Product Viewed", number)

    at_once(
        lambda: events(0),
        lambda: events(100),
        lambda: merge(kept, absorbed),
        lambda: consent_withdraw(profile_id=absorbed.pk, purpose="marketing", **_BY),
    )

    assert Event.objects.filter(profile=kept).count() == 30
    assert not Event.objects.filter(profile=absorbed).exists()
    assert list(EventTally.objects.values_list("profile_id", "number")) == [(kept.pk, 30)]
    assert not ConsentState.objects.get(profile=kept).granted


@pytest.mark.django_db(transaction=True)
def test_two_merges_of_one_profile_at_once_are_one() -> None:
    first, second, third = make_profile(), make_profile(), make_profile()
    said: list[str] = []

    def one(kept: Profile) -> None:
        try:
            merge(kept, third)
        except Conflict as error:
            said.append(error.code)

    at_once(lambda: one(first), lambda: one(second))
    assert said == ["profile_merged"]
    assert Merge.objects.filter(absorbed=third).count() == 1
    assert holders_of(kind="email", value=f"nobody-{third.pk}@example.com") == []


@pytest.mark.django_db(transaction=True)
def test_the_feed_tells_of_a_merge_and_of_its_undoing_in_versions_that_grow(director: User) -> None:
    """Whoever keeps what has the highest version has what holds."""
    make_purposes()
    kept, absorbed = make_profile(), make_profile()
    for profile, act in ((kept, consent_grant), (absorbed, consent_withdraw)):
        act(profile_id=profile.pk, purpose="marketing", **_BY)
    consent_withdraw(profile_id=absorbed.pk, purpose="tracking", **_BY)
    choose(kept, PreferenceChange.Kind.FREQUENCY, "daily")
    choose(absorbed, PreferenceChange.Kind.FREQUENCY, "weekly")
    changes_order()

    made = merge(kept, absorbed)
    changes_order()
    profiles_unmerge(merge_id=made.pk, actor=director)
    changes_order()

    told: dict[tuple[str, str], list[Change]] = {}
    for change in Change.objects.filter(profile_id=kept.pk).exclude(kind="profile").order_by("position"):
        told.setdefault((change.kind, change.purpose), []).append(change)
    assert {key: len(some) for key, some in told.items()} == {
        ("consent", "marketing"): 3, ("consent", "tracking"): 2, ("preference", ""): 3,
    }  # fmt: skip
    for some in told.values():
        versions = [one.version for one in some]
        assert versions == sorted(set(versions))
    assert [one.granted for one in told["consent", "marketing"]] == [True, False, True]
    assert [one.granted for one in told["consent", "tracking"]] == [False, None]
    chosen = preferences_read(profile_ids=[kept.pk])[kept.pk]
    assert (chosen.frequency, chosen.version) == ("daily", told["preference", ""][-1].version)
