"""What is heard of messages: each once, and what follows at once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from pytest_django import Settings

from apps.data.consent.models import ConsentRecord, ConsentState, Suppression
from apps.data.profiles.addresses import identifier_put
from apps.data.profiles.models import Identifier
from apps.data.profiles.vault import key_destroy
from apps.delivery.sending.contracts import Report
from apps.delivery.sending.models import DeliveryAttempt, EventRaw, Message, MessageEvent
from apps.delivery.sending.recovery import sweep
from apps.delivery.sending.reports import (
    events_apply,
    events_forget,
    person_forget,
    raw_open,
    raws_forget,
    reports_take,
)
from apps.delivery.sending.rules import LEADS_TO
from apps.delivery.sending.services import dispatch_take_up
from apps.delivery.sending.windows import messages_send
from apps.foundation.core.clock import now
from apps.foundation.core.signing import address_digest
from tests.delivery.makers import make_compiled, make_decisions, make_people, make_run
from tests.delivery.relay import Relay

pytestmark = pytest.mark.usefixtures("ledger")

State = Message.State
Kind = MessageEvent.Kind


def make_messages(size: int = 1, *, state: str = "sent", **run: Any) -> list[Message]:
    """Messages in a state, as if a sender had brought them there."""
    one = make_run(**run)
    people = make_people(size)
    make_decisions(one, people, make_compiled())
    dispatch_take_up(run_id=one.pk)
    steps = [State.CLAIMED, State.SENDING, state] if state != State.QUEUED else []
    mine = Message.objects.filter(dispatch__run_id=one.pk)
    for step in steps:
        held = step in (State.CLAIMED, State.SENDING)
        mine.update(
            state=step,
            sender_id=uuid4() if held else None,
            lease_until=now() + timedelta(hours=1) if held else None,
            sending_at=now(),
            attempts=1,
        )
    DeliveryAttempt.objects.bulk_create(
        DeliveryAttempt(message=message, number=1, started_at=now(), outcome="unknown") for message in mine
    )
    return list(mine.order_by("pk"))


def report(message: Message | UUID, kind: str = Kind.BOUNCED, source: str = "", **more: Any) -> Report:
    pk = message.pk if isinstance(message, Message) else message
    return Report(pk, kind, now(), source or f"test:{uuid4()}", **more)


def state_of(message: Message) -> str:
    return Message.objects.get(pk=message.pk).state


def suppressed() -> list[str]:
    return sorted(Suppression.objects.values_list("reason", flat=True))


def test_a_bounce_for_good_suppresses_the_address_at_once_and_is_taken_once() -> None:
    (message,) = make_messages()
    told = report(message, bounce="hard", code="5.1.1", reason="no_such_user", source="dsn:1", raw=b"the letter")

    assert reports_take([told]) == 1
    assert reports_take([told]) == 0
    assert reports_take([told, told]) == 0
    assert state_of(message) == "bounced"
    held = Suppression.objects.get()
    assert (bytes(held.digest), held.reason) == (bytes(message.address_digest or b""), "bounce")
    assert held.note == f"message {message.pk}: no_such_user 5.1.1"
    assert raw_open(EventRaw.objects.get()) == b"the letter"
    assert bytes(EventRaw.objects.get().sealed).find(b"letter") == -1


def test_a_bounce_for_now_suppresses_after_repeats_in_a_row(settings: Settings) -> None:
    settings.SOFT_BOUNCES = 3
    person = make_people(1)
    messages = []
    for _ in range(5):
        run = make_run()
        make_decisions(run, person, make_compiled())
        dispatch_take_up(run_id=run.pk)
        mine = Message.objects.filter(dispatch__run_id=run.pk)
        mine.update(state=State.CLAIMED, sender_id=uuid4(), lease_until=now())
        mine.update(state=State.SENDING)
        mine.update(state=State.SENT, sending_at=now())
        messages.append(mine.get())

    reports_take([report(messages[0], bounce="soft"), report(messages[0], bounce="soft")])  # one message counts once
    reports_take([report(messages[1], bounce="soft")])
    assert suppressed() == []
    # one that arrives in between begins the count anew
    reports_take([report(messages[2], Kind.DELIVERED)])
    reports_take([report(messages[3], bounce="soft"), report(messages[4], bounce="soft")])
    assert suppressed() == []
    reports_take([report(messages[2], bounce="soft")])
    assert suppressed() == ["bounce"]
    assert state_of(messages[2]) == "bounced"


def test_what_says_nothing_of_the_address_suppresses_nothing() -> None:
    (message,) = make_messages()
    reports_take([report(message, bounce="other", reason="policy")])
    reports_take([report(message, Kind.DEFERRED)])

    assert suppressed() == []
    assert state_of(message) == "bounced"


def test_a_complaint_suppresses_and_withdraws_at_once() -> None:
    (message,) = make_messages()
    reports_take([report(message, Kind.COMPLAINED)])

    assert suppressed() == ["complaint"]
    held = ConsentState.objects.get(profile_id=message.profile_id, purpose="marketing")
    assert (held.granted, held.record.method) == (False, ConsentRecord.Method.COMPLAINT)
    assert state_of(message) == "complained"
    # nobody complains of what they need: the address is suppressed, no consent is recorded
    (needed,) = make_messages(purpose="transactional")
    reports_take([report(needed, Kind.COMPLAINED)])
    assert suppressed() == ["complaint", "complaint"]
    assert not ConsentState.objects.filter(profile_id=needed.profile_id, purpose="transactional").exists()


def test_who_leaves_at_the_provider_has_left() -> None:
    (message,) = make_messages()
    reports_take([report(message, Kind.UNSUBSCRIBED)])

    assert not ConsentState.objects.get(profile_id=message.profile_id, purpose="marketing").granted
    assert (state_of(message), suppressed()) == ("sent", [])


@pytest.mark.parametrize("kind", list(LEADS_TO))
@pytest.mark.parametrize("state", ["uncertain", "sent"])
def test_evidence_moves_messages_and_settles_the_uncertain(kind: str, state: str) -> None:
    (message,) = make_messages(state=state)
    reports_take([report(message, kind)])

    assert state_of(message) == LEADS_TO[kind]
    outcome = DeliveryAttempt.objects.get().outcome
    assert outcome == ("accepted" if state == "uncertain" else "unknown")


def test_no_state_goes_back() -> None:
    (message,) = make_messages()
    for kind, state in (
        (Kind.DELIVERED, "delivered"),
        (Kind.BOUNCED, "bounced"),
        (Kind.DELIVERED, "bounced"),
        (Kind.COMPLAINED, "complained"),
        (Kind.BOUNCED, "complained"),
    ):
        reports_take([report(message, kind)])
        assert state_of(message) == state


@pytest.mark.parametrize("state", ["withheld", "failed", "cancelled"])
def test_what_never_went_out_does_not_come_back(state: str) -> None:
    (message,) = make_messages(state=State.QUEUED)
    mine = Message.objects.filter(pk=message.pk)
    if state == "failed":
        mine.update(state=State.CLAIMED, sender_id=uuid4(), lease_until=now())
    mine.update(state=state, reason="test")
    reports_take([report(message, Kind.DELIVERED)])

    assert state_of(message) == state


def test_news_that_is_faster_than_the_senders_own_record_waits_for_it() -> None:
    (message,) = make_messages(state=State.SENDING)
    reports_take([report(message, bounce="hard")])

    # the address is suppressed at once; the message's own step waits
    assert (state_of(message), suppressed()) == ("sending", ["bounce"])
    sweep()
    assert state_of(message) == "sending"
    Message.objects.filter(pk=message.pk).update(state=State.SENT)
    sweep()
    assert state_of(message) == "bounced"
    assert MessageEvent.objects.get().applied_at is not None


def test_what_a_process_wrote_down_and_died_the_sweep_applies(monkeypatch: pytest.MonkeyPatch) -> None:
    (message,) = make_messages()

    def dies(**_: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("apps.delivery.sending.reports.events_apply", dies)
        with pytest.raises(SystemExit):
            reports_take([report(message, bounce="hard")])
    assert (state_of(message), suppressed()) == ("sent", [])
    sweep()
    assert (state_of(message), suppressed()) == ("bounced", ["bounce"])
    assert events_apply(event_ids=[MessageEvent.objects.get().pk]) == 0


def test_reports_of_others_change_nothing() -> None:
    (message,) = make_messages()
    strangers = [
        report(uuid4(), bounce="hard"),
        report(message, bounce="hard", recipient="somebody-else@example.com"),
        report(message, bounce="hard", recipient="no address"),
    ]

    assert reports_take(strangers) == 0
    assert (state_of(message), suppressed(), MessageEvent.objects.count()) == ("sent", [], 0)


def test_the_recipient_may_be_written_in_another_way_and_is_not_kept() -> None:
    (message,) = make_messages()
    identifier_put(profile_id=message.profile_id, kind="email", value="anna@shop.example")
    Message.objects.filter(pk=message.pk).update(address_digest=address_digest("email", "anna@shop.example"))
    said = "<anna@shop.example>: user anna unknown\r\n\x00 here"

    assert reports_take([report(message, bounce="soft", recipient="Anna@SHOP.example", response=said)]) == 1
    assert MessageEvent.objects.get().response == "<•••>: user ••• unknown here"


def test_an_address_that_nobody_holds_any_more_is_suppressed_all_the_same() -> None:
    (message,) = make_messages()
    Identifier.objects.all().delete()
    reports_take([report(message, bounce="hard")])

    assert suppressed() == ["bounce"]


def test_of_an_erased_person_nothing_is_kept(relay: Relay) -> None:
    (message,) = make_messages()
    key_destroy(message.profile_id)
    reports_take([report(message, bounce="soft", raw=b"the letter", response="words")])

    assert EventRaw.objects.count() == 0
    reports_take([report(message, Kind.CLICKED, link=1)])
    assert person_forget(message.profile_id) == 1
    assert list(MessageEvent.objects.values_list("kind", "response")) == [("bounced", "")]
    assert messages_send() is False


def test_what_was_kept_long_enough_is_forgotten() -> None:
    (message,) = make_messages()
    reports_take([report(message, bounce="hard", raw=b"a")])
    reports_take([report(message, Kind.DEFERRED, raw=b"b")])

    assert raws_forget(now() - timedelta(days=1), 10) == 0
    assert raws_forget(now() + timedelta(days=1), 1) == 1
    assert (EventRaw.objects.count(), MessageEvent.objects.count()) == (1, 2)
    assert events_forget(now() + timedelta(days=1), 10) >= 2
    assert (state_of(message), suppressed()) == ("bounced", ["bounce"])


def test_a_thousand_at_once_are_a_few_statements(django_assert_max_num_queries: Callable[[int], Any]) -> None:
    messages = make_messages(40)
    connection.queries_log.clear()
    with django_assert_max_num_queries(16):
        assert reports_take([report(message, Kind.DELIVERED) for message in messages]) == 40
    assert Message.objects.filter(state="delivered").count() == 40
