"""The gate: no message enters `sending` after an opt-out has committed; caps are exact."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from quopri import decodestring
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Count
from pytest_django import Settings

from apps.data.consent.models import Channel, ConsentRecord, PreferenceChange, Suppression, Topic
from apps.data.consent.preferences import preference_change
from apps.data.consent.selectors import gate_read
from apps.data.consent.services import consent_withdraw, consents_grant_new, gate_lock, suppression_add
from apps.data.profiles.addresses import addresses_read, identifier_put
from apps.data.profiles.errors import MasterKeyMissing
from apps.data.profiles.models import Identifier
from apps.data.profiles.vault import key_destroy
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.sealing import Kept
from apps.delivery.sending import gate, windows
from apps.delivery.sending.claims import messages_claim
from apps.delivery.sending.contracts import Passed, Prepared
from apps.delivery.sending.gate import gate_ask_again, gate_pass
from apps.delivery.sending.models import DeliveryAttempt, Dispatch, Message
from apps.delivery.sending.rendering import messages_prepare
from apps.delivery.sending.selectors import run_counts
from apps.delivery.sending.sender import SenderProcess
from apps.delivery.sending.services import dispatch_cancel, dispatch_pause, dispatch_take_up
from apps.delivery.sending.windows import messages_send
from apps.foundation.core.clock import now
from apps.foundation.core.crypto import key_make
from apps.foundation.core.signing import address_digest
from tests.delivery.makers import later, make_compiled, make_decisions, make_people, make_run
from tests.delivery.order import OrderWatch
from tests.delivery.relay import Accepted, Relay
from tests.factories import make_purposes as purposes
from tests.factories import put_sealed

pytestmark = pytest.mark.usefixtures("ledger")

State = Message.State
Kind = PreferenceChange.Kind


def withdraw(profile_id: int) -> None:
    """The person leaves."""
    consent_withdraw(
        profile_id=profile_id,
        purpose="marketing",
        channel=Channel.EMAIL,
        method=ConsentRecord.Method.ONE_CLICK,
        source="test",
    )


def choose(profile_id: int, kind: PreferenceChange.Kind, value: object, subject: str = "") -> None:
    """The person changes a preference."""
    preference_change(
        profile_id=profile_id,
        kind=kind,
        value=value,
        subject=subject,
        method=ConsentRecord.Method.PREFERENCES,
        source="test",
    )


def in_thread(what: Callable[[], None]) -> threading.Thread:
    """Run it on a database connection of its own."""

    def run() -> None:
        try:
            what()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@contextmanager
def sender_at_work() -> Iterator[SenderProcess]:
    """A sender whose steps the test makes one by one."""
    sender = SenderProcess()
    with sender:
        yield sender
        Message.objects.filter(sender_id=sender.id, state__in=["claimed", "sending"]).delete()


def claim(sender: SenderProcess, count: int = 100) -> list[Prepared]:
    """Claim and render."""
    claimed = messages_claim(sender_id=sender.id, channel=Channel.EMAIL, count=count)
    prepared, faults = messages_prepare(claimed, Dispatch.objects.in_bulk(), at=now())
    assert faults == {}
    return prepared


def make_queued(size: int, **terms: object) -> list[int]:
    """A run taken up, for that many people. Returns their profile ids."""
    people = make_people(size)
    run = make_run(**terms)  # type: ignore[arg-type]
    make_decisions(run, people, make_compiled())
    assert dispatch_take_up(run_id=run.pk) == size
    return people


def address_of(profile_id: int) -> str:
    return addresses_read(profile_ids=[profile_id], kind="email")[profile_id]


def address_change(profile_id: int, value: str) -> None:
    Identifier.objects.filter(profile_id=profile_id).delete()
    identifier_put(profile_id=profile_id, kind="email", value=value)


def person_of(item: Prepared | Passed) -> int:
    """Whose message it is."""
    return (item if isinstance(item, Prepared) else item.prepared).claimed.profile_id


def state_of(profile_id: int) -> tuple[str, str]:
    """Where the person's message is, and why."""
    return Message.objects.values_list("state", "reason").get(profile_id=profile_id)


def test_who_leaves_between_claim_and_gate_is_withheld() -> None:
    people = make_queued(3)
    with sender_at_work() as sender:
        items = claim(sender)
        withdraw(people[1])
        passed = gate_pass(sender_id=sender.id, items=items)
        assert {person_of(one) for one in passed} == {people[0], people[2]}
        assert state_of(people[1]) == (State.WITHHELD, "withdrawn")
        assert not DeliveryAttempt.objects.filter(message__profile_id=people[1]).exists()


@pytest.mark.parametrize(
    ("kind", "subject", "value", "reason"),
    [
        (Kind.PAUSE, "", 30, "paused"),
        (Kind.CHANNEL, "email", False, "channel_off"),
        (Kind.TOPIC, "offers", False, "topic_off"),
    ],
)
def test_what_is_chosen_between_claim_and_gate_holds(
    kind: PreferenceChange.Kind, subject: str, value: object, reason: str
) -> None:
    if kind == Kind.PAUSE:
        value = (now() + timedelta(days=30)).isoformat()
    Topic.objects.create(code="offers", name="Offers")
    people = make_queued(2, topic="offers")
    with sender_at_work() as sender:
        items = claim(sender)
        choose(people[0], kind, value, subject)
        passed = gate_pass(sender_id=sender.id, items=items)
        assert [person_of(one) for one in passed] == [people[1]]
        assert state_of(people[0]) == (State.WITHHELD, reason)
        choose(people[1], kind, value, subject)
        assert gate_ask_again(sender_id=sender.id, items=passed) == []
        assert state_of(people[1]) == (State.WITHHELD, reason)


def test_quiet_hours_put_a_message_off_until_they_end() -> None:
    people = make_queued(2)
    hour = now().hour
    quiet = {"start": f"{hour:02}:00", "end": f"{(hour + 2) % 24:02}:00"}
    with sender_at_work() as sender:
        items = claim(sender)
        choose(people[0], Kind.QUIET, quiet)
        passed = gate_pass(sender_id=sender.id, items=items)
        assert [person_of(one) for one in passed] == [people[1]]
        waits = Message.objects.get(profile_id=people[0])
        assert (waits.state, waits.reason, waits.not_before.hour) == (State.QUEUED, "", (hour + 2) % 24)
        assert claim(sender) == []


def test_quiet_hours_that_end_too_late_withhold() -> None:
    people = make_queued(1, hours=1)
    hour = now().hour
    with sender_at_work() as sender:
        items = claim(sender)
        choose(people[0], Kind.QUIET, {"start": f"{hour:02}:00", "end": f"{(hour + 3) % 24:02}:00"})
        assert gate_pass(sender_id=sender.id, items=items) == []
        assert state_of(people[0]) == (State.WITHHELD, "quiet_hours")


def test_whose_address_is_suppressed_is_withheld() -> None:
    people = make_queued(2)
    with sender_at_work() as sender:
        items = claim(sender)
        address = address_of(people[0])
        suppression_add(kind="email", value=address, reason=Suppression.Reason.COMPLAINT)
        assert [person_of(one) for one in gate_pass(sender_id=sender.id, items=items)] == [people[1]]
        assert state_of(people[0]) == (State.WITHHELD, "suppressed")


def test_an_address_that_does_not_open_withholds_its_message_alone() -> None:
    """Swapped with another's, tampered with, or its key destroyed: what can't be read is not written to."""
    people = make_queued(4)
    with sender_at_work() as sender:
        items = claim(sender)
        first, second = (Identifier.objects.get(profile_id=person) for person in people[:2])
        Identifier.objects.filter(pk=first.pk).update(sealed=second.sealed)
        Identifier.objects.filter(pk=second.pk).update(
            sealed=bytes(second.sealed)[:-1] + bytes([bytes(second.sealed)[-1] ^ 1])
        )
        key_destroy(people[2])
        assert [person_of(one) for one in gate_pass(sender_id=sender.id, items=items)] == [people[3]]
        assert {state_of(person) for person in people[:3]} == {(State.WITHHELD, "sealed_address")}


def test_without_its_master_key_nothing_passes_and_nothing_moves(settings: Settings) -> None:
    make_queued(4)
    with sender_at_work() as sender:
        items = claim(sender, 2)
        settings.MASTER_KEYS = {"m9": key_make()}
        with pytest.raises(MasterKeyMissing):
            gate_pass(sender_id=sender.id, items=items)
        with pytest.raises(MasterKeyMissing):
            messages_claim(sender_id=sender.id, channel=Channel.EMAIL, count=5)
        assert sorted(Message.objects.values_list("state", flat=True)) == [State.CLAIMED] * 2 + [State.QUEUED] * 2


def test_the_gate_waits_for_an_opt_out_under_way_and_then_sees_it() -> None:
    # given an opt-out that has locked the gate and not committed
    people = make_queued(1)
    locked, go = threading.Event(), threading.Event()

    def leave() -> None:
        with transaction.atomic():
            gate_lock(profile_ids=people)
            locked.set()
            go.wait(10)
            withdraw(people[0])

    with sender_at_work() as sender:
        items = claim(sender)
        leaver = in_thread(leave)
        assert locked.wait(10)
        passed: list[Passed] = []
        passer = in_thread(lambda: passed.extend(gate_pass(sender_id=sender.id, items=items)))
        # when the gate is asked meanwhile, it waits
        passer.join(0.3)
        assert passer.is_alive()
        # and after the opt-out's commit it says no
        go.set()
        leaver.join()
        passer.join()
        assert passed == []
        assert state_of(people[0]) == (State.WITHHELD, "withdrawn")


def test_an_opt_out_waits_for_a_window_under_way() -> None:
    people = make_queued(1)
    with sender_at_work() as sender:
        items = claim(sender)
        with transaction.atomic():
            assert len(gate_pass(sender_id=sender.id, items=items)) == 1
            leaver = in_thread(lambda: withdraw(people[0]))
            leaver.join(0.3)
            assert leaver.is_alive()
            assert not ConsentRecord.objects.filter(action="withdraw").exists()
        leaver.join()
        # the message was in sending before the opt-out committed; asked again, it is taken back
        assert state_of(people[0]) == (State.SENDING, "")
        again = gate_ask_again(sender_id=sender.id, items=[Passed(items[0], 1)])
        assert again == []
        assert state_of(people[0]) == (State.WITHHELD, "withdrawn")
        assert DeliveryAttempt.objects.get().outcome == "not_tried"


def pause(profile_id: int) -> None:
    """The person wants nothing for a week."""
    preference_change(
        profile_id=profile_id,
        kind=PreferenceChange.Kind.PAUSE,
        value=later(days=7).isoformat(),
        method=ConsentRecord.Method.PREFERENCES,
        source="test",
    )


def test_opt_outs_during_a_send_none_enters_sending_after_the_commit(relay: Relay, settings: Settings) -> None:
    """By the order of commits, not by clocks: see tests/delivery/order.py. To make it hard, who leaves or pauses does
    so just when their window is at the gate, and the windows linger there.
    """
    settings.SEND_WINDOW = 20
    people = make_queued(1000)
    leavers = [person for person in people if person % 5 == 0]
    place = {person: at for at, person in enumerate(people)}
    of_address = {address: person for person, address in addresses_read(profile_ids=people, kind="email").items()}
    reached = 0
    moved = threading.Condition()

    def note(one: Accepted) -> None:
        nonlocal reached
        with moved:
            reached = place[of_address[one.recipient]]
            moved.notify_all()

    def leave(who: list[int]) -> None:
        for person in who:
            with moved:
                assert moved.wait_for(lambda at=place[person]: reached >= at - 20, 60)  # type: ignore[misc]
            (pause if place[person] % 2 else withdraw)(person)
            watch.left(person)

    with OrderWatch(linger=0.005) as watch:
        relay.on_accept = note
        reached = 20 - 1  # nobody waits for the first window
        threads = [in_thread(lambda part=leavers[at::3]: leave(part)) for at in range(3)]  # type: ignore[misc]
        messages_send()
        reached = len(people)
        with moved:
            moved.notify_all()
        for thread in threads:
            thread.join()
        assert watch.too_late() == []
        assert watch.seen() >= len(relay.accepted)
    sent = Message.objects.filter(state=State.SENT).count()
    withheld = dict(
        Message.objects.filter(state=State.WITHHELD).values_list("reason").annotate(Count("pk")).order_by("reason")
    )
    assert withheld.keys() == {"paused", "withdrawn"}
    assert sent + sum(withheld.values()) == 1000
    assert sent == len(relay.accepted)
    assert 20 < sum(withheld.values()) <= 200


@pytest.mark.parametrize("leave", [withdraw, pause])
def test_without_the_lock_a_message_is_too_late_and_the_watch_sees_it(
    monkeypatch: pytest.MonkeyPatch, leave: Callable[[int], None]
) -> None:
    monkeypatch.setattr(gate, "gate_lock", lambda **people: None)
    people = make_queued(1)
    with OrderWatch() as watch, sender_at_work() as sender:
        items = claim(sender)
        with transaction.atomic():
            assert len(gate_pass(sender_id=sender.id, items=items)) == 1
            leaver = in_thread(lambda: leave(people[0]))
            leaver.join(10)  # nothing holds them up: they have left before the window commits
            assert not leaver.is_alive()
        assert watch.too_late() == people


def test_the_watch_sees_what_commits_after_an_opt_out_was_answered() -> None:
    people = make_queued(2)
    with OrderWatch() as watch, sender_at_work() as sender:
        items = claim(sender)
        watch.left(people[0])  # as if their opt-out had been answered, and nothing kept it
        watch.left(people[1])
        watch.back(people[1])
        assert len(gate_pass(sender_id=sender.id, items=items)) == 2
        assert watch.too_late() == people[:1]


def test_a_slow_relay_has_the_gate_asked_again(
    relay: Relay, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    # given a window of 4 to a relay that takes its time, and somebody who leaves while the first is handed over
    monkeypatch.setattr(windows, "GATE_SECONDS", 0.5)
    make_queued(4)
    *others, last = Message.objects.order_by("id").values_list("profile_id", flat=True)  # as they go out
    relay.plan = lambda recipient: "slow 0.9"
    gone: list[int] = []

    def leave(one: Accepted) -> None:
        if not gone:
            gone.append(last)
            in_thread(lambda: withdraw(last)).join()

    relay.on_accept = leave
    # when the window goes out
    messages_send()
    # then the last one, who passed the gate before, was taken back
    assert state_of(last) == (State.WITHHELD, "withdrawn")
    assert [state_of(person)[0] for person in others] == [State.SENT] * 3
    assert len(relay.accepted) == 3


@pytest.mark.parametrize(("order", "state"), [(dispatch_pause, State.QUEUED), (dispatch_cancel, State.CANCELLED)])
def test_orders_given_between_claim_and_gate_hold(order: Callable[..., None], state: str) -> None:
    people = make_queued(2)
    with sender_at_work() as sender:
        items = claim(sender)
        order(dispatch_id=Dispatch.objects.get().pk)
        assert gate_pass(sender_id=sender.id, items=items) == []
        assert {state_of(person)[0] for person in people} == {state}


def test_an_order_is_not_kept_waiting_by_many_senders() -> None:
    make_queued(2)
    dispatch = Dispatch.objects.get()
    with transaction.atomic(), connection.cursor() as cursor:
        gate.dispatch_lock(cursor, [dispatch.pk], shared=True)
        pauser = in_thread(lambda: dispatch_pause(dispatch_id=dispatch.pk))
        pauser.join(0.3)
        assert pauser.is_alive()  # it waits for the window under way
    pauser.join(5)
    assert not pauser.is_alive()


def test_a_lost_claim_sends_nothing() -> None:
    make_queued(2)
    with sender_at_work() as sender:
        items = claim(sender)
        # by a newer claim (fence), and by the end of the lease
        Message.objects.filter(pk=items[0].claimed.id).update(fence=items[0].claimed.fence + 1)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE sending_message SET lease_until = clock_timestamp() - interval '1 ms' WHERE id = %s",
                [items[1].claimed.id],
            )
        assert gate_pass(sender_id=sender.id, items=items) == []
        assert set(Message.objects.values_list("state", flat=True)) == {State.CLAIMED}
        assert not DeliveryAttempt.objects.exists()


def test_an_address_that_changed_meanwhile_is_the_one_written_to(relay: Relay) -> None:
    people = make_queued(1)
    with sender_at_work() as sender:
        items = claim(sender)
        address_change(people[0], "new@example.com")
        passed = gate_pass(sender_id=sender.id, items=items)
        assert passed[0].prepared.address == "new@example.com"
        assert b"To: new@example.com\r\n" in passed[0].prepared.content
        message = Message.objects.get()
        assert bytes(message.address_digest or b"") == address_digest("email", "new@example.com")


def test_an_address_that_became_another_ones_gets_one_message() -> None:
    people = make_queued(2)
    with sender_at_work() as sender:
        items = claim(sender)
        address_change(people[1], address_of(people[0]))
        passed = gate_pass(sender_id=sender.id, items=items)
        assert [person_of(one) for one in passed] == [people[0]]
        assert state_of(people[1]) == (State.WITHHELD, "duplicate_address")


def test_caps_are_exact_under_two_senders(relay: Relay, settings: Settings) -> None:
    # given three runs of one purpose to the same people, at most two messages a week
    settings.SEND_WINDOW, settings.SEND_CLAIM = 7, 30
    people = make_people(60)
    compiled = make_compiled()
    runs = [make_run(cap=(2, 7)) for _ in range(3)]
    for run in runs:
        make_decisions(run, people, compiled)
        dispatch_take_up(run_id=run.pk)

    def send() -> None:
        messages_send()

    # when two senders share the work
    for thread in [in_thread(send) for _ in range(2)]:
        thread.join()
    messages_send()
    # then everybody got two
    assert len(relay.accepted) == 120
    assert set(relay.recipients().values()) == {2}
    assert sum(run_counts(run.pk).withheld.get("frequency_cap", 0) for run in runs) == 60


def test_two_messages_of_one_window_count_for_each_other(relay: Relay) -> None:
    people = make_people(1)
    for _ in range(2):
        run = make_run(cap=(1, 7))
        make_decisions(run, people, make_compiled())
        dispatch_take_up(run_id=run.pk)
    with sender_at_work() as sender:
        assert len(gate_pass(sender_id=sender.id, items=claim(sender))) == 1
    assert Message.objects.get().reason == "frequency_cap"


def test_a_gate_that_can_not_be_locked_sends_nothing(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "LOCK_SECONDS", 1)
    people = make_queued(3)
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            gate_lock(profile_ids=people[:1])
            held.set()
            go.wait(20)

    holder = in_thread(hold)
    assert held.wait(10)
    messages_send()
    assert relay.accepted == []
    assert set(Message.objects.values_list("state", "attempts")) == {(State.QUEUED, 0)}
    go.set()
    holder.join()
    Message.objects.update(not_before=now())
    messages_send()
    assert len(relay.accepted) == 3


def test_who_stops_being_followed_before_the_gate_is_not_followed(relay: Relay, settings: Settings) -> None:
    purposes()
    run, people = make_run(), make_people(3)
    grants = [(profile_id, now()) for profile_id in people]
    how: dict[str, Any] = {"channel": Channel.EMAIL, "method": ConsentRecord.Method.API, "source": "test"}
    consents_grant_new(grants=grants, purpose="tracking", evidence="the test says so", **how)
    put_sealed(
        (
            Decision(profile_id=profile_id, run=run, outcome="send", compiled=make_compiled(), decided_at=now()),
            Kept({"profile": {}, "slots": {}, "tracked": True}),
        )
        for profile_id in people
    )
    dispatch_take_up(run_id=run.pk)
    with SenderProcess() as sender:
        claimed = messages_claim(sender_id=sender.id, channel=Channel.EMAIL, count=10)
        prepared, _ = messages_prepare(claimed, Dispatch.objects.in_bulk(), at=now())
        assert [item.tracked for item in prepared] == [True] * 3
        consent_withdraw(profile_id=people[0], purpose="tracking", **how)

        passed = gate_pass(sender_id=sender.id, items=prepared)
        by_person = {one.prepared.claimed.profile_id: one.prepared for one in passed}
        assert b"o.gif" not in decodestring(by_person[people[0]].content.split(b"\r\n\r\n")[-1].split(b"\r\n--")[0])
        assert b"o.gif" in decodestring(by_person[people[1]].content.split(b"\r\n\r\n")[-1].split(b"\r\n--")[0])
        assert {pk: one.tracked for pk, one in by_person.items()} == dict(zip(people, (False, True, True), strict=True))
        assert dict(Message.objects.values_list("profile_id", "tracked")) == {
            pk: one.tracked for pk, one in by_person.items()
        }
        # and when the gate is asked again before it goes out: back to the queue, to be made anew
        consent_withdraw(profile_id=people[1], purpose="tracking", **how)
        still = gate_ask_again(sender_id=sender.id, items=passed)
        assert {one.prepared.claimed.profile_id for one in still} == {people[0], people[2]}
        assert Message.objects.get(profile_id=people[1]).state == State.QUEUED


def test_what_the_gate_reads_of_people_is_theirs_however_many_there_are() -> None:
    people = make_people(400)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ANALYZE consent_consentstate, profiles_identifier, profiles_profile")
        read = (
            "SELECT relname, seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
            " WHERE relname IN ('consent_consentstate', 'profiles_identifier', 'profiles_profile')"
        )
        cursor.execute(read)
        before = dict(cursor.fetchall())
        answers = gate_read(profile_ids=people[:150], purpose="marketing", channel=Channel.EMAIL)
        cursor.execute(read)
        after = dict(cursor.fetchall())
    assert [answer.allowed for answer in answers.values()] == [True] * 150
    assert {name: after[name] - before[name] for name in after} == dict.fromkeys(after, 150)
