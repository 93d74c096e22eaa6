"""What begins journeys: events, entries into an audience, and calls, each once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from apps.data.events.models import Event, Order
from apps.data.events.services import event_record
from apps.data.profiles.models import Profile
from apps.decisioning.playbooks import triggers
from apps.decisioning.playbooks.models import Journey, Member, Playbook, PlaybookVersion, Sighting, TriggerMark
from apps.decisioning.playbooks.services import playbook_update, playbook_withdraw
from apps.decisioning.playbooks.triggers import event_look, playbook_trigger, triggers_look
from apps.foundation.core.errors import Conflict, Invalid, NotAllowed, NotFound
from tests.factories import make_playbook, make_profile, make_user

from .travelling import MESSAGE, START, hours, make_followed, make_steps, publish, sent, tick

pytestmark = pytest.mark.django_db

TWO: list[dict[str, Any]] = [{**MESSAGE, "id": "one"}, {"kind": "wait", "for": {"days": 2}}, {**MESSAGE, "id": "two"}]
CART = "Cart Updated"


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is woken: each test says itself what happens."""
    for place in ("playbooks", "decisions"):
        monkeypatch.setattr(f"apps.decisioning.{place}.receivers.enqueue_on_commit", lambda *args: None)


def person(**fields: Any) -> int:
    return make_profile(consent=("marketing",), **fields).pk


def happens(
    profile_id: int | None, at: datetime, message_id: str = "", recorded_at: datetime | None = None, **what: Any
) -> None:
    event_record(
        profile_id=profile_id,
        name=CART,
        message_id=message_id or f"{profile_id}-{at.isoformat()}",
        occurred_at=at,
        properties=what,
        recorded_at=recorded_at or at,
    )


def make_cart(steps: list[dict[str, Any]] = TWO, **fields: Any) -> Playbook:
    return make_followed(steps, **{"trigger": "event", "event_name": CART, "again_after_days": 0, **fields})


def keys() -> list[tuple[int, str]]:
    return sorted(Journey.objects.values_list("profile_id", "occasion_key"))


def test_an_event_begins_one_journey_however_often_it_is_looked_at() -> None:
    ann, ben = person(), person()
    playbook = make_cart()
    happens(ann, START + hours(1), "a1")
    happens(ben, START + hours(1), "b1")
    happens(None, START + hours(1), "nobody")
    for moment in (1, 1, 2, 3, 49, 50, 60):
        tick(START + hours(moment))
    assert keys() == [(ann, "event:a1"), (ben, "event:b1")]
    assert sent(playbook) == {"one": [ann, ben], "two": [ann, ben]}
    assert Sighting.objects.count() == 2
    assert TriggerMark.objects.get().looked_at == START + hours(60)


def test_two_events_of_one_person_are_two_occasions() -> None:
    ann = person()
    playbook = make_cart()
    happens(ann, START + hours(1), "a1")
    happens(ann, START + hours(1), "a2")  # both are due at the same moment
    tick(START + hours(1))
    assert sent(playbook) == {"one": [ann, ann]}


def test_occasions_of_two_people_with_one_address_are_two() -> None:
    ids = [person(email="home@example.com") for _ in range(2)]
    playbook = make_cart()
    for one in ids:
        happens(one, START + hours(1))
    tick(START + hours(1))
    assert sent(playbook) == {"one": ids}
    assert playbook.runs.count() == 2


def test_what_an_event_says_is_asked_and_who_is_in_the_audience() -> None:
    rich, poor, abroad = person(country="DE"), person(country="DE"), person(country="FR")
    playbook = make_playbook(
        trigger="event", event_name=CART, again_after_days=0, event_where={"attribute": "value", "gte": 20}
    )
    playbook.audience.rule = {"attribute": "country", "is": "DE"}
    playbook.audience.save()
    publish(playbook, START)
    happens(rich, START + hours(1), value=20.5)
    happens(poor, START + hours(1), value=19.99)
    happens(poor, START + hours(1), "no value")
    happens(abroad, START + hours(1), value=50)
    tick(START + hours(1))
    assert sent(playbook) == {"message": [rich]}


def test_old_events_and_those_from_before_publishing_begin_nothing() -> None:
    ann, ben, cem = person(), person(), person()
    make_cart()
    happens(ann, START - hours(1), recorded_at=START + hours(1))  # before it was published
    happens(ben, START + hours(1), recorded_at=START + hours(26))  # a day old when it came
    happens(cem, START + hours(3), recorded_at=START + hours(26))
    tick(START + hours(26))
    assert [profile_id for profile_id, _ in keys()] == [cem]


def test_what_was_committed_late_is_found() -> None:
    ann = person()
    make_cart()
    tick(START + hours(2))
    happens(ann, START + hours(1.5), recorded_at=START + hours(1.5))  # its transaction took half an hour
    tick(START + hours(2.1))
    assert [profile_id for profile_id, _ in keys()] == [ann]


def test_many_events_are_looked_at_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers, "PAGE", 3)
    ids = [person() for _ in range(8)]
    make_cart()
    for one in ids:
        happens(one, START + hours(1))
    assert triggers_look(at=START + hours(1)) == 8
    assert triggers_look(at=START + hours(1)) == 0


def test_a_purchase_is_an_event() -> None:
    ann, ben = person(), person()
    playbook = make_followed(TWO, trigger="event", event_name="Order Completed", again_after_days=None)
    for number, (who, status) in enumerate([(ann, "purchase"), (ben, "cancelled"), (ann, "purchase")]):
        Order.objects.create(
            source="shop",
            external_id=str(number),
            profile_id=who,
            status=status,
            placed_at=START + hours(1 + number),
            recorded_at=START + hours(1 + number),
        )
    tick(START + hours(1))
    tick(START + hours(4))
    assert keys() == [(ann, "order:shop:0")]  # once, ever
    assert sent(playbook) == {"one": [ann]}


def test_again_after_some_days_and_not_while_under_way() -> None:
    ann = person()
    playbook = make_cart([{"kind": "exit", "event": "Left"}, *TWO], again_after_days=1)
    happens(ann, START + hours(1), "first")
    happens(ann, START + hours(3), "too soon")
    tick(START + hours(4))
    happens(ann, START + hours(30), "under way")
    tick(START + hours(30))
    assert keys() == [(ann, "event:first")]
    Event.objects.create(profile_id=ann, name="Left", occurred_at=START + hours(31), message_id="l")
    happens(ann, START + hours(32), "third")  # the first ended an hour before
    tick(START + hours(33))
    assert keys() == [(ann, "event:first"), (ann, "event:third")]
    assert sent(playbook) == {"one": [ann, ann]}


def test_what_was_passed_over_does_not_begin_later() -> None:
    ann = person()
    playbook = make_cart(again_after_days=1)
    happens(ann, START + hours(1), "first")
    tick(START + hours(1))
    happens(ann, START + hours(48.5), "second")
    tick(START + hours(48.6))
    tick(START + hours(49))  # the first is through now, and the second is still within the overlap
    tick(START + hours(49.1))
    assert keys() == [(ann, "event:first")]
    assert sent(playbook) == {"one": [ann], "two": [ann]}


@pytest.mark.django_db(transaction=True)
def test_eight_looks_at_once_begin_each_once() -> None:
    ids = [person() for _ in range(6)]
    make_cart(again_after_days=None)
    for one in ids:
        for number in range(3):
            happens(one, START + hours(1 + number / 10))

    def look(_: int) -> int:
        try:
            return triggers_look(at=START + hours(2))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(look, range(8))) == 6
    assert [profile_id for profile_id, _ in keys()] == ids


@pytest.mark.django_db(transaction=True)
def test_what_is_recorded_while_another_looks_is_looked_at_by_the_one_who_waits() -> None:
    # given: one looks, and stays at it
    ann, ben, cem = (person() for _ in range(3))
    make_cart()
    begun, goes_on, told = threading.Event(), threading.Event(), threading.Event()

    def moment() -> datetime:
        begun.set()
        assert goes_on.wait(30)
        return START + hours(1)

    def look(clock: Callable[[], datetime]) -> int:
        try:
            return event_look(name=CART, clock=clock)
        finally:
            told.set()
            connection.close()

    happens(ann, START + hours(1))
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(look, moment)
        assert begun.wait(30)
        # when: more happens meanwhile, and each time somebody is woken
        happens(ben, START + hours(2))
        woken = [threads.submit(look, lambda: START + hours(3)) for _ in range(6)]
        assert told.wait(30)
        happens(cem, START + hours(2.5))
        goes_on.set()
        # then: one of them waited, and saw what came until its turn
        assert first.result(30) == 1
        assert sorted(one.result(30) for one in woken) == [0, 0, 0, 0, 0, 2]
    assert [profile_id for profile_id, _ in keys()] == [ann, ben, cem]


# --- entries ---

GERMAN = {"attribute": "country", "is": "DE"}


def make_entered(**fields: Any) -> Playbook:
    playbook = make_playbook(**{"trigger": "audience", "again_after_days": 0, **fields})
    playbook.audience.rule = GERMAN
    playbook.audience.save()
    playbook_update(playbook_id=playbook.pk, by=playbook.owner, steps=make_steps(playbook, TWO))
    return publish(playbook, START)


def moves(profile_id: int, country: str) -> None:

    Profile.objects.filter(pk=profile_id).update(country=country)


def test_who_enters_the_audience_begins_once_for_each_entry() -> None:
    there, comes, away = person(country="DE"), person(country="FR"), person(country="FR")
    playbook = make_entered()
    tick(START + hours(1))
    assert keys() == []  # who was in it already did not enter
    assert list(Member.objects.values_list("profile_id", flat=True)) == [there]
    moves(comes, "DE")
    tick(START + hours(2))
    tick(START + hours(3))
    assert keys() == [(comes, "entered 2025-03-03T11:00:00Z")]
    moves(comes, "FR")
    tick(START + hours(4))
    moves(comes, "DE")
    tick(START + hours(5))
    assert [key for _, key in keys()] == ["entered 2025-03-03T11:00:00Z", "entered 2025-03-03T14:00:00Z"]
    assert sent(playbook) == {"one": [comes, comes]}
    assert away not in sent(playbook)["one"]


def test_entering_again_too_soon_begins_nothing() -> None:
    comes = person(country="FR")
    make_entered(again_after_days=30)
    tick(START + hours(1))
    for day in range(0, 40, 10):
        moves(comes, "DE")
        tick(START + timedelta(days=day, hours=2))
        moves(comes, "FR")
        tick(START + timedelta(days=day, hours=3))
    assert [key for _, key in keys()] == ["entered 2025-03-03T11:00:00Z", "entered 2025-04-02T11:00:00Z"]


def test_those_who_are_in_already_begin_if_told_so() -> None:
    there = person(country="DE")
    make_entered(entry_existing=True)
    tick(START + hours(1))
    tick(START + hours(2))
    assert keys() == [(there, "entered 2025-03-03T10:00:00Z")]


def test_a_look_that_is_rolled_back_is_repeated() -> None:
    comes = person(country="FR")
    make_entered()
    tick(START + hours(1))
    moves(comes, "DE")
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(triggers, "entries_enrol", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            triggers_look(at=START + hours(2))
    tick(START + hours(3))
    assert keys() == [(comes, "entered 2025-03-03T12:00:00Z")]


def test_another_rule_begins_with_who_is_in_it() -> None:
    there, french = person(country="DE"), person(country="FR")
    playbook = make_entered()
    tick(START + hours(1))
    playbook.audience.rule = {"attribute": "country", "in": ["DE", "FR"]}
    playbook.audience.save()
    publish(playbook, START + hours(1))
    tick(START + hours(2))
    assert keys() == []
    assert sorted(Member.objects.values_list("profile_id", flat=True)) == [there, french]


# --- calls ---


def test_a_call_begins_one_journey_for_its_key() -> None:
    ann = person()
    playbook = make_followed(TWO, trigger="api", again_after_days=0)
    by = playbook.owner
    first = playbook_trigger(playbook_code=playbook.code, profile_id=ann, key="order-7", by=by, at=START)
    again = playbook_trigger(playbook_code=playbook.code, profile_id=ann, key=" order-7 ", by=by, at=START + hours(1))
    other = playbook_trigger(playbook_code=playbook.code, profile_id=ann, key="order-8", by=by, at=START)
    assert first.pk == again.pk != other.pk
    tick(START)
    assert sent(playbook) == {"one": [ann, ann]}


def test_a_call_says_why_it_begins_nothing() -> None:
    playbook = make_followed(TWO, trigger="api", again_after_days=None)
    ann, by = person(), playbook.owner

    def call(code: str = playbook.code, who: int = ann, key: str = "k", user: Any = by) -> Journey:
        return playbook_trigger(playbook_code=code, profile_id=who, key=key, by=user, at=START)

    cases: list[tuple[type[Exception], dict[str, Any]]] = [
        (NotFound, {"code": "nothing"}),
        (NotFound, {"who": 0}),
        (Invalid, {"key": " "}),
        (NotAllowed, {"user": make_user("publisher")}),
    ]
    for refused, args in cases:
        with pytest.raises(refused):
            call(**args)
    call()
    with pytest.raises(Conflict) as once:
        call(key="other")
    assert once.value.code == "only_once"
    playbook_withdraw(playbook_id=playbook.pk, by=by)
    with pytest.raises(Conflict) as gone:
        call(key="third")
    assert gone.value.code == "playbook_not_published"
    assert Journey.objects.count() == 1


def test_a_withdrawn_playbook_looks_at_nothing() -> None:
    ann = person()
    playbook = make_cart()
    playbook_withdraw(playbook_id=playbook.pk, by=playbook.owner)
    happens(ann, START + hours(1))
    tick(START + hours(1))
    assert (keys(), PlaybookVersion.objects.get().state) == ([], "retired")
