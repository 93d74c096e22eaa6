"""Taking up decisions, once, whoever does it."""

import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction

from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.registry import message_counters
from apps.decisioning.decisions.signals import decisions_made
from apps.decisioning.playbooks.models import Run
from apps.delivery.sending.contracts import Pace
from apps.delivery.sending.models import Dispatch, Message
from apps.delivery.sending.selectors import messages_count, pace_lately, run_counts
from apps.delivery.sending.services import dispatch_cancel, dispatch_pause, dispatch_take_up
from apps.delivery.sending.windows import messages_send
from apps.foundation.core.errors import Conflict, NotFound
from apps.foundation.governance.models import AuditEntry
from tests.delivery.makers import later, make_compiled, make_decision, make_decisions, make_people, make_run
from tests.delivery.relay import Relay
from tests.factories import make_profile

pytestmark = pytest.mark.usefixtures("ledger")

State = Message.State


def test_take_ups_at_once_make_each_message_once() -> None:
    # given a run decided about in parts, with one address in two of them
    run, compiled = make_run(), make_compiled()
    people = make_people(200)
    make_decisions(run, people, compiled)
    for _ in range(2):
        make_decision(run, make_profile(email="both@example.com", consent=("marketing",)), compiled=compiled)
    taken: list[int] = []

    def take_up() -> None:
        try:
            taken.append(dispatch_take_up(run_id=run.pk))
        finally:
            connection.close()

    # when four take it up at once
    threads = [threading.Thread(target=take_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # then each decision has one message
    assert sum(taken) == 202
    assert Dispatch.objects.count() == 1
    assert Message.objects.filter(state=State.QUEUED).count() == 201
    assert Message.objects.get(state=State.WITHHELD).reason == "duplicate_address"


def test_a_take_up_reads_what_it_takes_and_not_its_whole_run() -> None:
    # given a ledger whose figures were taken after a first run, and a second of which most was taken up since
    first, second, compiled = make_run(), make_run(), make_compiled()
    people = make_people(300)
    make_decisions(first, people, compiled)
    dispatch_take_up(run_id=first.pk)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ANALYZE sending_message, decisions_decision, profiles_identifier")
        make_decisions(second, people[:250], compiled)
        assert dispatch_take_up(run_id=second.pk) == 250
        make_decisions(second, people[250:], compiled)
        ids = sorted(Decision.objects.filter(run=second, profile_id__in=people[250:]).values_list("pk", flat=True))
        read = (
            "SELECT relname, seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
            " WHERE relname IN ('sending_message', 'decisions_decision', 'profiles_identifier')"
        )
        cursor.execute(read)
        before = dict(cursor.fetchall())
        # when the 50 that were decided last are taken up
        assert dispatch_take_up(run_id=second.pk, first_id=ids[0], last_id=ids[-1]) == 50
        # then their decisions and addresses were read, and nothing of the 250 (planning looks at the ends of an index)
        cursor.execute(read)
        found = {name: rows - before[name] for name, rows in cursor.fetchall()}
    assert (found["sending_message"], found["profiles_identifier"]) == (0, 50)
    assert 50 <= found["decisions_decision"] < 60


def test_the_news_of_decisions_takes_them_up() -> None:
    run, compiled = make_run(), make_compiled()
    make_decisions(run, make_people(3), compiled)
    decisions_made.send(Run, run_id=run.pk)
    assert Message.objects.count() == 3
    first = make_decision(run, make_profile(consent=("marketing",)), compiled=compiled)
    decisions_made.send(Run, run_id=run.pk, first_id=first.pk)
    assert Message.objects.count() == 4


def test_the_terms_are_those_of_the_run() -> None:
    run = make_run(cap=(3, 7))
    dispatch_take_up(run_id=run.pk)
    dispatch = Dispatch.objects.get()
    assert (dispatch.purpose, dispatch.needs_consent, dispatch.channel) == ("marketing", True, "email")
    assert (dispatch.from_email, dispatch.reply_to) == ("news@shop.example", "help@shop.example")
    assert (dispatch.cap_count, dispatch.cap_days) == (3, 7)
    assert dispatch.not_after > later(hours=23)


def test_a_run_cancelled_before_anything_was_taken_up_sends_nothing() -> None:
    run = make_run(state=Run.State.CANCELLED)
    make_decisions(run, make_people(2), make_compiled())
    dispatch_take_up(run_id=run.pk)
    assert set(Message.objects.values_list("state", flat=True)) == {State.CANCELLED}
    assert run_counts(run.pk).cancelled == 2
    with pytest.raises(NotFound):
        dispatch_take_up(run_id=run.pk + 1)
    with pytest.raises(NotFound):
        dispatch_cancel(dispatch_id=10**9)


def test_one_occasion_belongs_to_one_run() -> None:
    run, other = make_run(), make_run()
    dispatch_take_up(run_id=run.pk)
    dispatch_take_up(run_id=other.pk)
    occasion = Dispatch.objects.get(run_id=other.pk).occasion
    Dispatch.objects.filter(run_id=other.pk).delete()
    Dispatch.objects.filter(run_id=run.pk).update(occasion=occasion)
    with pytest.raises(Conflict) as caught:
        dispatch_take_up(run_id=other.pk)
    assert caught.value.code == "occasion_taken"


def test_orders_are_in_the_audit_log() -> None:
    run = make_run()
    user = run.playbook.owner
    dispatch_take_up(run_id=run.pk)
    dispatch = Dispatch.objects.get()
    dispatch_pause(dispatch_id=dispatch.pk, by=user)
    dispatch_pause(dispatch_id=dispatch.pk, by=user)
    assert list(AuditEntry.objects.filter(action__startswith="sending.").values_list("action", "actor")) == [
        ("sending.dispatch.paused", user.pk)
    ]


def test_counts_tell_where_everybody_is(relay: Relay) -> None:
    run, compiled = make_run(), make_compiled()
    make_decisions(run, make_people(3), compiled)
    make_decision(run, make_profile(), outcome="no_consent")
    make_decision(run, make_profile(), compiled=compiled)  # nobody asked them: the gate withholds it
    bad = make_profile(email="bad@example.com", consent=("marketing",))
    make_decision(run, bad, compiled=compiled, tier="category")
    before = run_counts(run.pk)
    assert (before.planned, before.queued, before.sent, before.finished) == (6, 5, 0, False)
    dispatch_take_up(run_id=run.pk)
    relay.plan = lambda recipient: "550 no" if recipient.startswith("bad") else "ok"
    messages_send()
    after = run_counts(run.pk)
    assert (after.planned, after.queued, after.sending, after.sent) == (6, 0, 0, 3)
    assert dict(after.withheld) == {"no_consent": 2}
    assert (dict(after.failed), after.uncertain, dict(after.by_tier)) == ({"refused": 1}, 0, {"site": 3})
    assert (after.finished, after.withheld_total, after.failed_total) == (True, 2, 1)


def test_what_people_got_is_counted_ahead_of_the_next_decision(relay: Relay) -> None:
    assert messages_count in message_counters
    run, people = make_run(), make_people(2)
    make_decisions(run, people[:1], make_compiled())
    assert messages_count(profile_ids=people, purpose="marketing", since=later(days=-7)) == {}
    dispatch_take_up(run_id=run.pk)
    assert messages_count(profile_ids=people, purpose="marketing", since=later(days=-7)) == {people[0]: 1}
    messages_send()
    assert messages_count(profile_ids=people, purpose="marketing", since=later(days=-7)) == {people[0]: 1}
    assert messages_count(profile_ids=people, purpose="transactional", since=later(days=-7)) == {}
    assert messages_count(profile_ids=people, purpose="marketing", since=later(days=1)) == {}


def test_the_pace_is_that_of_the_last_runs_that_were_large_enough_without_their_pauses() -> None:
    begin = later(hours=-3)

    def handed_over(size: int, every: float, pause_after: int = 0) -> None:
        run, compiled = make_run(), make_compiled()
        make_decisions(run, make_people(size, consent=False, prefix=f"run-{run.pk}-"), compiled)
        dispatch_take_up(run_id=run.pk)
        for place, message in enumerate(Message.objects.filter(dispatch__run_id=run.pk).order_by("pk")):
            pause = timedelta(hours=1) if pause_after and place >= pause_after else timedelta()
            finished = begin + timedelta(seconds=place * every) + pause
            one = Message.objects.filter(pk=message.pk)  # by the steps that a message takes
            one.update(state=State.CLAIMED, sender_id=uuid4(), lease_until=finished)
            one.update(state=State.SENDING)
            one.update(state=State.SENT, finished_at=finished)

    assert pace_lately(at_least=3) is None
    handed_over(2, 1.0)
    assert pace_lately(at_least=3) is None
    handed_over(11, 2.0)
    assert pace_lately(at_least=3) == Pace(runs=1, messages=11, per_second=0.55)
    handed_over(11, 0.5, pause_after=5)
    assert pace_lately(at_least=3) == Pace(runs=2, messages=22, per_second=round(22 / (20 + 4.5 + 30), 2))
