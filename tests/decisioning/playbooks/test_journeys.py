"""People on the way through steps: each gets what the steps say, once, whatever happens in between."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.db import connection

from apps.data.consent.models import ConsentRecord
from apps.data.consent.services import consent_withdraw
from apps.data.events.models import Event, Order
from apps.data.profiles.models import Profile
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.selectors import decision_explain, dispatch_terms
from apps.decisioning.playbooks import journeys as engine
from apps.decisioning.playbooks.engine import move as engine_move
from apps.decisioning.playbooks.journeys import journeys_advance
from apps.decisioning.playbooks.models import Journey, Playbook, PlaybookVersion, Run, RunBatch
from apps.decisioning.playbooks.services import (
    playbook_update,
    playbook_withdraw,
    run_cancel,
    run_plan,
    run_start,
)
from apps.decisioning.playbooks.specs import version_digest, version_verify
from apps.delivery.sending.models import Dispatch, Message
from apps.foundation.governance.models import AuditEntry, Review
from tests.factories import make_profile, make_published
from tests.preloaded import run as in_another_process

from .travelling import MESSAGE, START, got, hours, make_followed, make_steps, publish, sent, tick

pytestmark = pytest.mark.django_db

TWO: list[dict[str, Any]] = [{**MESSAGE, "id": "one"}, {"kind": "wait", "for": {"days": 2}}, {**MESSAGE, "id": "two"}]
BRANCHED: list[dict[str, Any]] = [
    {"kind": "exit", "id": "bought", "name": "bought", "event": "Order Completed"},
    {**MESSAGE, "id": "one"},
    {"kind": "wait", "for": {"hours": 3}},
    {
        "kind": "branch",
        "id": "where",
        "when": {"attribute": "country", "is": "DE"},
        "then": [{**MESSAGE, "id": "german"}, {"kind": "wait", "for": {"hours": 3}}],
        "else": [{"kind": "wait", "for": {"hours": 6}}, {**MESSAGE, "id": "other"}],
    },
    {**MESSAGE, "id": "last"},
]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is woken: each test says itself what happens."""
    for place in ("playbooks", "decisions"):
        monkeypatch.setattr(f"apps.decisioning.{place}.receivers.enqueue_on_commit", lambda *args: None)
    monkeypatch.setattr("apps.delivery.sending.receivers.enqueue_on_commit", lambda *args: None)


def people(number: int, **fields: str) -> list[int]:
    return [make_profile(consent=("marketing",), **fields).pk for _ in range(number)]


def begin(playbook: Playbook, key: str = "spring", at: datetime = START) -> Run:
    return run_start(playbook_id=playbook.pk, occasion_key=key, trigger="hand", at=at)


def buys(profile_id: int, at: datetime) -> None:
    Order.objects.create(
        source="test", external_id=f"{profile_id}-{at}", profile_id=profile_id, status="purchase", placed_at=at
    )


def test_each_step_comes_when_it_is_due_and_once() -> None:
    # given
    everybody = people(5)
    playbook = make_followed(TWO)
    run = begin(playbook)
    # when: looked at far more often than needed
    for number in range(0, 60, 5):
        tick(START + hours(number))
        if number < 48:
            assert sent(playbook) == {"one": everybody}
    # then
    assert sent(playbook) == {"one": everybody, "two": everybody}
    run.refresh_from_db()
    assert (run.state, run.people, run.batches.count()) == (Run.State.DECIDED, 5, 0)
    steps = Run.objects.filter(playbook=playbook).exclude(step="").order_by("created_at")
    assert [(one.step, one.occasion_key, one.people, one.state) for one in steps] == [
        ("one", "spring", 5, "decided"),
        ("two", "spring", 5, "decided"),
    ]
    assert dispatch_terms(run_id=steps[1].pk).occasion == f"playbook:{playbook.pk}:two:email:spring"
    journey = Journey.objects.first()
    assert journey is not None
    assert (journey.state, journey.step, journey.due_at, journey.ended_at) == ("done", "", None, START + hours(50))
    assert journey.history == [
        ["2025-03-03T09:00:00Z", "one", "message"],
        ["2025-03-03T09:00:00Z", "wait-1", "wait"],
        ["2025-03-05T11:00:00Z", "two", "message"],
    ]
    decision = Decision.objects.filter(run=steps[1]).first()
    assert decision is not None
    assert decision_explain(decision.pk).outcome == "send"


def test_one_message_to_everybody_takes_the_direct_way() -> None:
    people(3)
    playbook = make_published()
    run = begin(playbook)
    assert run_plan(run_id=run.pk) == 3
    assert (Journey.objects.count(), RunBatch.objects.count()) == (0, 1)
    assert dispatch_terms(run_id=run.pk).occasion == f"playbook:{playbook.pk}:message:email:spring"


def test_branches_and_exits() -> None:
    germans, others = people(2, country="DE"), people(3, country="FR")
    playbook = make_followed(BRANCHED)
    begin(playbook)
    tick(START)
    buys(germans[0], START + hours(2))
    buys(others[0], START + hours(5))
    buys(others[1], START - hours(1))  # before it began: that is why they are here
    for number in range(1, 14):
        tick(START + hours(number))
    assert sent(playbook) == {
        "one": germans + others,
        "german": [germans[1]],
        "other": others[1:],
        "last": [germans[1], *others[1:]],
    }
    left = Journey.objects.filter(state="exited").order_by("profile_id")
    assert [(one.profile_id, one.reason, one.ended_at) for one in left] == [
        (germans[0], "bought", START + hours(2)),
        (others[0], "bought", START + hours(5)),
    ]


def test_who_withdraws_consent_leaves() -> None:
    stays, goes = people(2)
    never = make_profile().pk
    playbook = make_followed(TWO)
    begin(playbook)
    tick(START)
    consent_withdraw(
        profile_id=goes, purpose="marketing", channel="email", method=ConsentRecord.Method.API, source="test"
    )
    tick(START + hours(48))
    assert got(playbook) == {
        (stays, "one", "send"): 1,
        (goes, "one", "send"): 1,
        (never, "one", "no_consent"): 1,
        (stays, "two", "send"): 1,
        (never, "two", "no_consent"): 1,
    }
    assert Journey.objects.get(profile_id=goes).reason == "withdrew consent"


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_move_nobody_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BATCH", 3)
    everybody = people(20)
    playbook = make_followed(TWO)
    run_plan(run_id=begin(playbook).pk)

    def advance(_: int) -> None:
        try:
            for number in (0, 48, 48):
                journeys_advance(at=START + hours(number))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(advance, range(8)))
    journeys_advance(at=START + hours(48))
    tick(START + hours(48))
    assert sent(playbook) == {"one": everybody, "two": everybody}


def test_a_crash_in_the_middle_neither_repeats_nor_loses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BATCH", 2)
    everybody = people(6)
    playbook = make_followed(TWO)
    run_plan(run_id=begin(playbook).pk)
    put, calls = engine._messages_put, []

    def dies(*args: object) -> set[int]:
        stopped = put(*args)  # type: ignore[arg-type]
        calls.append(1)
        if len(calls) in (2, 4):
            raise KeyboardInterrupt  # everything of this batch was written, and nothing was committed
        return stopped

    monkeypatch.setattr(engine, "_messages_put", dies)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            journeys_advance(at=START)
    assert Journey.objects.exclude(due_at=START).count() == 4
    for moment in (START, START + hours(48), START + hours(48)):
        tick(moment)
    assert sent(playbook) == {"one": everybody, "two": everybody}


_CHILD = """
import os, signal
from apps.decisioning.playbooks import journeys
from datetime import datetime
journeys.BATCH = 2
write, calls = journeys._moves_write, []
def dies(*args):
    write(*args)
    calls.append(1)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
journeys._moves_write = dies
journeys.journeys_advance(at=datetime.fromisoformat("{at}"))
"""


@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_neither_repeats_nor_loses() -> None:
    everybody = people(5)
    playbook = make_followed(TWO)
    run_plan(run_id=begin(playbook).pk)
    url = connection.settings_dict
    address = f"postgres://{url['USER']}:{url['PASSWORD']}@{url['HOST']}:{url['PORT']}/{url['NAME']}"
    tick(START)
    moment = START + hours(48)
    child = in_another_process("-c", _CHILD.format(at=moment.isoformat()), env={**os.environ, "DATABASE_URL": address})
    assert child.returncode == -signal.SIGKILL, child.stderr[-2000:]
    assert [len(batch.profile_ids) for batch in RunBatch.objects.filter(run__step="two")] == [2]
    tick(moment)
    assert sent(playbook) == {"one": everybody, "two": everybody}


def test_people_under_way_finish_on_the_version_they_began_on() -> None:
    early = people(1)
    playbook = make_followed(TWO)
    begin(playbook)
    tick(START)
    steps = make_steps(
        playbook, [{**MESSAGE, "id": "new"}, {"kind": "wait", "for": {"days": 1}}, {**MESSAGE, "id": "z"}]
    )
    playbook_update(playbook_id=playbook.pk, by=playbook.owner, steps=steps)
    publish(playbook, START + hours(1))
    tick(START + hours(48))
    assert sent(playbook) == {"one": early, "two": early}
    assert {one.version.number for one in Journey.objects.all()} == {1}
    late = people(1)
    begin(playbook, "summer", START + hours(72))
    tick(START + hours(72))
    assert sent(playbook) == {"new": early + late, "one": early, "two": early}


def test_a_withdrawal_cancels_journeys_and_runs() -> None:
    everybody = people(3)
    playbook = make_followed(TWO)
    begin(playbook)
    tick(START)
    assert playbook_withdraw(playbook_id=playbook.pk, by=playbook.owner) == 0  # the runs are years old
    tick(START + hours(48))
    assert sent(playbook) == {"one": everybody}
    assert {(one.state, one.reason) for one in Journey.objects.all()} == {("cancelled", "the playbook was withdrawn")}
    entry = AuditEntry.objects.get(action="playbooks.version.withdrawn")
    assert entry.data["journeys_cancelled"] == 3


def test_cancelling_the_occasion_cancels_its_journeys() -> None:
    everybody = people(2)
    playbook = make_followed(TWO)
    first, second = begin(playbook, "a"), begin(playbook, "b")
    tick(START)
    run_cancel(run_id=first.pk, by=first.playbook.owner)
    tick(START + hours(48))
    assert sent(playbook) == {"one": sorted(everybody * 2), "two": everybody}
    assert Run.objects.get(step="two").occasion_key == second.occasion_key
    assert Run.objects.get(step="one", occasion_key="a").state == Run.State.CANCELLED


def test_quiet_hours_are_waited_for_where_the_person_is() -> None:
    vienna, tokyo, unknown = (
        make_profile(consent=("marketing",), time_zone=zone).pk for zone in ("Europe/Vienna", "Asia/Tokyo", "")
    )
    playbook = make_followed(TWO, quiet_start=time(21), quiet_end=time(8), time_zone="America/New_York")
    begin(playbook, at=START)  # 10:00 in Vienna, 18:00 in Tokyo, 04:00 in New York
    tick(START)
    assert sent(playbook) == {"one": [vienna, tokyo]}
    assert Journey.objects.get(profile_id=unknown).due_at == START + hours(4)  # 08:00 in New York
    tick(START + hours(4))
    assert sent(playbook) == {"one": [vienna, tokyo, unknown]}


def test_quiet_hours_that_end_too_late_withhold() -> None:
    person = people(1)[0]
    playbook = make_followed(TWO, quiet_start=time(8), quiet_end=time(20), send_within_hours=6)
    begin(playbook)
    tick(START)
    assert got(playbook) == {(person, "one", "quiet_hours"): 1}
    tick(START + hours(47))
    tick(START + hours(48))
    assert got(playbook) == {(person, "one", "quiet_hours"): 1, (person, "two", "quiet_hours"): 1}


def test_what_comes_too_late_is_withheld_and_the_person_goes_on() -> None:
    person = people(1)[0]
    playbook = make_followed(TWO, send_within_hours=24)
    begin(playbook)
    tick(START)
    tick(START + hours(48 + 25))  # nothing ran for a day
    assert got(playbook) == {(person, "one", "send"): 1, (person, "two", "too_late"): 1}
    assert Journey.objects.get().state == "done"


def test_quiet_hours_of_a_playbook_without_steps() -> None:
    here, tokyo = (make_profile(consent=("marketing",), time_zone=zone).pk for zone in ("Europe/Vienna", "Asia/Tokyo"))
    playbook = make_published(quiet_start=time(17), quiet_end=time(8))
    run = begin(playbook)
    tick(START)
    assert sent(playbook) == {"": [here]}
    run.refresh_from_db()
    assert run.state == Run.State.DECIDING
    tick(START + hours(13))
    assert sent(playbook) == {"": [here]}
    tick(START + hours(14))
    assert sent(playbook) == {"": [here, tokyo]}
    run.refresh_from_db()
    assert run.state == Run.State.DECIDED


@pytest.mark.django_db(transaction=True)
def test_an_address_held_by_two_gets_one_message_for_one_occasion() -> None:
    ids = [
        make_profile(email="home@example.com", consent=("marketing",), time_zone=zone).pk
        for zone in ("Europe/Vienna", "Asia/Tokyo")
    ]
    playbook = make_followed(TWO, quiet_start=time(17), quiet_end=time(8))
    begin(playbook, at=START + hours(24))
    tick(START + hours(24))
    tick(START + hours(38))  # the other one's quiet hours are over: added to the same run
    run = Run.objects.get(step="one")
    assert [batch.profile_ids for batch in run.batches.order_by("number")] == [[ids[0]], [ids[1]]]
    assert sorted(Message.objects.filter(dispatch__run_id=run.pk).values_list("state", "reason")) == [
        ("queued", ""),
        ("withheld", "duplicate_address"),
    ]
    assert Dispatch.objects.get(run_id=run.pk).not_after == START + hours(24 + 24)


def test_a_clock_that_goes_back_moves_nobody() -> None:
    everybody = people(1)
    playbook = make_followed(TWO)
    begin(playbook)
    for moment in (START, START - hours(30), START + hours(47), START - hours(1), START + hours(48), START):
        tick(moment)
    assert sent(playbook) == {"one": everybody, "two": everybody}


def test_a_version_that_was_changed_stands_still_and_says_so() -> None:
    people(2)
    playbook = make_followed(TWO)
    run_plan(run_id=begin(playbook).pk)
    version = PlaybookVersion.objects.get()
    version.spec["purpose"] = "service"
    version.save(update_fields=["spec"])
    engine._followed.cache_clear()
    assert journeys_advance(at=START) == 2
    assert journeys_advance(at=START) == 0
    assert Run.objects.filter(step="one").count() == 0
    assert AuditEntry.objects.get(action="playbooks.journeys.held_up").data == {
        "error": "version_tampered",
        "journeys": 2,
    }


def test_one_persons_fault_stops_only_them(monkeypatch: pytest.MonkeyPatch) -> None:
    fine, broken = people(1, country="DE"), people(1, country="XX")
    playbook = make_followed(BRANCHED)
    begin(playbook)
    tick(START)

    def move(*args: object, **kwargs: object) -> object:
        if args[2].facts.attributes["country"] == "XX":  # type: ignore[attr-defined]
            raise TypeError
        return engine_move(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "move", move)
    tick(START + hours(3))
    assert sent(playbook) == {"one": fine + broken, "german": fine}
    assert [(one.state, one.reason) for one in Journey.objects.filter(profile_id__in=broken)] == [
        ("failed", "TypeError")
    ]


def test_versions_from_before_steps_keep_their_digest() -> None:
    playbook = make_published()
    version = playbook.published
    assert version is not None
    for key in ("steps", "event", "entry_existing", "again_after_days", "quiet", "guardrails"):
        del version.spec[key]
    version.digest = version_digest(version)
    PlaybookVersion.objects.filter(pk=version.pk).update(spec=version.spec, digest=version.digest)
    Review.objects.update(digest=version.digest)
    version_verify(PlaybookVersion.objects.get(pk=version.pk))
    person = people(1)
    begin(playbook)
    tick(START)
    assert sent(playbook) == {"": person}


def test_the_past_of_events_is_of_the_journey_only() -> None:
    person = people(1)[0]
    Event.objects.create(profile_id=person, name="Looked", occurred_at=START - timedelta(minutes=1), message_id="1")
    playbook = make_followed([{"kind": "exit", "event": "Looked"}, *TWO])
    begin(playbook)
    tick(START)
    assert sent(playbook) == {"one": [person]}
    Event.objects.create(profile_id=person, name="Looked", occurred_at=START + timedelta(minutes=1), message_id="2")
    tick(START + hours(48))
    assert Journey.objects.get().reason == "Looked"
    assert Profile.objects.get(pk=person).journeys.count() == 1
