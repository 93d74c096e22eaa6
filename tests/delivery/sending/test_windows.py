"""The sender's loop against a real relay and a real database."""

import email
import email.policy
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connection, transaction
from pytest_django import Settings

from apps.data.consent.models import Channel
from apps.data.profiles.models import Profile
from apps.data.profiles.vault import key_destroy
from apps.decisioning.decisions.models import Decision
from apps.decisioning.decisions.signals import run_stopped
from apps.decisioning.playbooks.models import Run
from apps.delivery.channels.dkim import Signer
from apps.delivery.sending import windows
from apps.delivery.sending.claims import messages_claim, messages_release
from apps.delivery.sending.models import DeliveryAttempt, Dispatch, Message, Sender
from apps.delivery.sending.recovery import messages_end_late
from apps.delivery.sending.rendering import message_again
from apps.delivery.sending.selectors import run_counts
from apps.delivery.sending.sender import SenderProcess, boottime
from apps.delivery.sending.services import dispatch_cancel, dispatch_pause, dispatch_resume, dispatch_take_up
from apps.delivery.sending.windows import messages_send
from apps.foundation.core.clock import now
from apps.foundation.core.crypto import key_make
from apps.foundation.core.errors import Conflict
from apps.foundation.core.signing import address_digest
from tests.delivery.makers import HTML, later, make_compiled, make_decision, make_decisions, make_people, make_run
from tests.delivery.relay import Accepted, Relay
from tests.factories import make_profile

pytestmark = pytest.mark.usefixtures("ledger")

State = Message.State


def states() -> dict[str, int]:
    """How many messages are in each state."""
    found: dict[str, int] = {}
    for state in Message.objects.values_list("state", flat=True):
        found[state] = found.get(state, 0) + 1
    return found


def test_messages_arrive_once_and_are_the_same_again(relay: Relay) -> None:
    # given a run of 45 people, of whom one was withheld when it was decided
    run, compiled = make_run(), make_compiled()
    make_decisions(run, make_people(45), compiled)
    make_decision(run, make_profile(), outcome="no_consent")
    # when it is taken up and sent
    assert dispatch_take_up(run_id=run.pk) == 45
    assert messages_send() is False
    # then each got it once
    assert states() == {State.SENT: 45}
    assert len(relay.accepted) == 45
    assert set(relay.recipients().values()) == {1}
    counts = run_counts(run.pk)
    assert (counts.planned, counts.sent, dict(counts.withheld), dict(counts.by_tier)) == (
        46,
        45,
        {"no_consent": 1},
        {"site": 45},
    )
    assert counts.finished
    # and what arrived is what can be made again
    for one in relay.accepted:
        assert message_again(one.message_id) == one.content  # type: ignore[arg-type]
    # and the sender is settled, its journal gone, each attempt accepted
    assert Sender.objects.filter(settled_at=None).count() == 0
    assert set(DeliveryAttempt.objects.values_list("number", "outcome", "code")) == {(1, "accepted", "250")}
    # and taking up again, and sending again, does nothing
    assert dispatch_take_up(run_id=run.pk) == 0
    assert messages_send() is False
    assert len(relay.accepted) == 45


def test_what_goes_out_is_signed_and_what_can_be_made_again_is_the_message_below(
    relay: Relay, settings: Settings, tmp_path: Path
) -> None:
    key = Ed25519PrivateKey.generate()
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    settings.DKIM_KEYS = {"shop.example": {"e1": str(tmp_path / "key.pem")}}
    run = make_run()
    make_decisions(run, make_people(2), make_compiled(html="<style>\n.a { }\n.b { }</style>\n" + HTML))
    dispatch_take_up(run_id=run.pk)
    messages_send()
    assert states() == {State.SENT: 2}
    record = Signer(settings.DKIM_KEYS).keys["shop.example"][0].record.encode()
    for one in relay.accepted:
        assert dkim.verify(one.content, dnsfunc=lambda name, timeout=5: record)
        assert b"list-unsubscribe:list-unsubscribe-post" in b"".join(one.content.partition(b"bh=")[0].split())
        again = message_again(one.message_id)  # type: ignore[arg-type]
        assert one.content.startswith(b"DKIM-Signature: ")
        assert one.content.endswith(b"\r\n" + again)


def test_each_fault_leads_to_its_state_and_the_others_go_out(relay: Relay, settings: Settings) -> None:
    # given a relay that treats ten people badly, each in another way
    # one after the other: three faults in a row would open the breaker
    settings.SMTP_URL = f"smtp://127.0.0.1:{relay.port}?timeout=1&connections=1"
    run, compiled = make_run(), make_compiled()
    plans = {
        "deferred": "451 4.2.1 later",
        "refused": "550 5.1.1 unknown",
        "late-deferred": "data 452 full",
        "late-refused": "data 554 no",
        "dropped": "drop at data",
        "lost": "lose after",
        "unanswered": "drop after",
    }
    for name in plans:
        profile = make_profile(email=f"{name}@bad.example", consent=("marketing",))
        make_decision(run, profile, compiled=compiled)
        make_decisions(run, make_people(2), compiled)
    relay.plan = lambda recipient: plans.get(recipient.partition("@")[0], "ok")
    # when all is sent
    dispatch_take_up(run_id=run.pk)
    messages_send()
    # then each is in the state that its fault leads to, and everybody else has their mail
    by_name = {
        name: Message.objects.get(address_digest=address_digest("email", f"{name}@bad.example")) for name in plans
    }
    assert {name: (message.state, message.reason) for name, message in by_name.items()} == {
        "deferred": ("retry", ""),
        "refused": ("failed", "refused"),
        "late-deferred": ("retry", ""),
        "late-refused": ("failed", "refused"),
        "dropped": ("retry", ""),
        "lost": ("uncertain", ""),
        "unanswered": ("uncertain", ""),
    }
    assert states()[State.SENT] == 14
    assert len([one for one in relay.accepted if one.recipient.endswith("@example.com")]) == 14
    # and the attempts say what the relay said
    attempt = DeliveryAttempt.objects.get(message=by_name["refused"])
    assert (attempt.outcome, attempt.code, attempt.response) == ("refused", "550", "5.1.1 unknown")
    # and what was deferred is not due at once, but goes out later, once, with the same content
    assert messages_send() is False
    first = {name: by_name[name].content_digest for name in ("deferred", "late-deferred", "dropped")}
    plans.clear()
    Message.objects.filter(state=State.RETRY).update(not_before=now())
    messages_send()
    for name, digest in first.items():
        message = by_name[name]
        message.refresh_from_db()
        assert (message.state, message.attempts, message.content_digest) == (State.SENT, 2, digest)
    # and what is uncertain is never sent again
    messages_send()
    assert states() == {State.SENT: 17, State.FAILED: 2, State.UNCERTAIN: 2}
    assert set(relay.recipients().values()) == {1}


def test_what_the_relay_says_is_kept_without_the_address(relay: Relay) -> None:
    answers = {
        "greta.garbo@example.com": "550 5.1.1 <Greta.Garbo@example.com>: greta.garbo is unknown here",
        "greta.gone@example.com": "data 554 5.7.1 no mail for greta.gone@example.com",
        "greta.late@example.com": "451 4.2.2 mailbox of <greta.late@example.com> is full",
    }
    run, compiled = make_run(), make_compiled()
    for address in answers:
        make_decision(run, make_profile(email=address, consent=("marketing",)), compiled=compiled)
    relay.plan = lambda recipient: answers[recipient]
    dispatch_take_up(run_id=run.pk)
    messages_send()
    assert sorted(DeliveryAttempt.objects.values_list("response", flat=True)) == [
        "4.2.2 mailbox of <•••> is full",
        "5.1.1 <•••>: ••• is unknown here",
        "5.7.1 no mail for •••",
    ]


def test_what_can_not_be_opened_is_never_sent_blank(relay: Relay) -> None:
    # given three queued messages; one person is then erased, and of one somebody changed the decision's row
    run = make_run()
    erased, changed, fine = make_people(3)
    make_decisions(run, [erased, changed, fine], make_compiled())
    dispatch_take_up(run_id=run.pk)
    key_destroy(erased)
    other = Decision.objects.get(profile_id=fine)
    Decision.objects.filter(profile_id=changed).update(sealed=other.sealed)
    # when all is sent
    messages_send()
    # then only what can be read went out, and the others say why not
    assert [one.message_id for one in relay.accepted] == [str(other.pk)]
    found = {row.profile_id: (row.state, row.reason) for row in Message.objects.all()}
    assert found == {
        erased: (State.WITHHELD, "erased"),
        changed: (State.FAILED, "tampered"),
        fine: (State.SENT, ""),
    }
    # and what went out is not shown any more once its person is erased
    key_destroy(fine)
    with pytest.raises(Conflict) as caught:
        message_again(other.pk)
    assert caught.value.code == "erased"


def test_without_the_master_key_nothing_is_taken(relay: Relay, settings: Settings) -> None:
    run = make_run()
    make_decisions(run, make_people(2), make_compiled())
    dispatch_take_up(run_id=run.pk)
    right, settings.MASTER_KEYS = settings.MASTER_KEYS, {"other": b"0" * 32}
    assert messages_send() is False
    assert states() == {State.QUEUED: 2}
    settings.MASTER_KEYS = right
    messages_send()
    assert states() == {State.SENT: 2}


def test_tries_end(relay: Relay, settings: Settings) -> None:
    settings.SEND_MAX_ATTEMPTS = 3
    run = make_run()
    make_decisions(run, make_people(1), make_compiled())
    relay.plan = lambda recipient: "451 later"
    dispatch_take_up(run_id=run.pk)
    for _ in range(5):
        messages_send()
        Message.objects.filter(state=State.RETRY).update(not_before=now())
    message = Message.objects.get()
    assert (message.state, message.reason, message.attempts) == (State.FAILED, "retries_exhausted", 3)


def test_tries_end_with_the_time_there_is(relay: Relay) -> None:
    run = make_run()
    make_decisions(run, make_people(1), make_compiled())
    relay.plan = lambda recipient: "451 later"
    dispatch_take_up(run_id=run.pk)
    Dispatch.objects.update(not_after=later(seconds=30))
    messages_send()
    assert Message.objects.values_list("state", "reason").get() == (State.FAILED, "retries_exhausted")


def test_a_relay_that_is_away_costs_no_message_anything(relay: Relay) -> None:
    run = make_run()
    make_decisions(run, make_people(5), make_compiled())
    dispatch_take_up(run_id=run.pk)
    relay.stop()
    assert messages_send() is False
    assert set(Message.objects.values_list("state", "attempts", "fence")) == {(State.QUEUED, 0, 0)}
    # nobody knocks again at once
    assert not windows.breaker.allows(boottime())
    relay.start()
    assert messages_send() is False
    assert relay.accepted == []
    # but once the pause is over
    windows.breaker.open_until = 0
    messages_send()
    assert states() == {State.SENT: 5}
    assert windows.breaker.pause == 0


def test_a_relay_that_leaves_in_the_middle_gets_the_rest_later(relay: Relay) -> None:
    run = make_run()
    make_decisions(run, make_people(30), make_compiled())
    dispatch_take_up(run_id=run.pk)

    def leave(one: Accepted) -> None:
        if len(relay.accepted) == 7:
            relay.plan = lambda recipient: "421"

    relay.on_accept = leave
    messages_send()
    # it closes each connection: a few messages are deferred, and then nobody bothers it; of those that it had let in
    # on other connections it may have taken some
    found = states()
    assert set(found) == {State.SENT, State.RETRY, State.QUEUED}
    assert 7 <= found[State.SENT] <= 10
    assert 3 <= found[State.RETRY] <= 6
    relay.plan = lambda recipient: "ok"
    windows.breaker.worked()
    Message.objects.filter(state=State.RETRY).update(not_before=now())
    messages_send()
    assert states() == {State.SENT: 30}
    assert set(relay.recipients().values()) == {1}


def test_a_relay_that_never_answers_makes_few_uncertain(relay: Relay) -> None:
    run = make_run()
    make_decisions(run, make_people(60), make_compiled())
    dispatch_take_up(run_id=run.pk)
    relay.plan = lambda recipient: "lose after"
    for _ in range(3):
        windows.breaker.open_until = 0
        messages_send()
    # three before it is left alone, then one for each time that somebody looks whether it is back
    assert states() == {State.UNCERTAIN: 5, State.QUEUED: 55}


def test_a_message_that_can_not_be_rendered_fails_alone(relay: Relay) -> None:
    run, compiled = make_run(), make_compiled(text="Hello {{ profile.first_name }}\n{{ links.unsubscribe }}")
    people = make_people(5)
    make_decisions(run, people[:4], compiled)
    make_decision(run, Profile.objects.get(pk=people[4]), compiled=compiled, inputs={"profile": {}, "slots": {}})
    dispatch_take_up(run_id=run.pk)
    messages_send()
    assert states() == {State.SENT: 4, State.FAILED: 1}
    assert Message.objects.get(state=State.FAILED).reason == "render_failed"
    assert len(relay.accepted) == 4
    assert dict(run_counts(run.pk).failed) == {"render_failed": 1}


def test_an_address_that_no_server_takes_is_withheld(relay: Relay) -> None:
    run = make_run()
    make_decision(run, make_profile(email="no body@example.com", consent=("marketing",)), compiled=make_compiled())
    dispatch_take_up(run_id=run.pk)
    messages_send()
    assert Message.objects.values_list("state", "reason").get() == (State.WITHHELD, "invalid_address")


def test_hostile_names_reach_no_header_and_no_code(relay: Relay) -> None:
    name = "=?utf-8?q?x=0D=0ABcc=3Aa@b?= {{7*7}}\r\nBcc: c@d"
    run = make_run()
    make_decision(run, make_profile(first_name=name, consent=("marketing",)), compiled=make_compiled())
    dispatch_take_up(run_id=run.pk)
    messages_send()
    message = email.message_from_bytes(relay.accepted[0].content, policy=email.policy.default)
    assert "Bcc" not in message
    assert "49" not in str(message["Subject"])


def test_one_address_of_two_people_gets_one_message(relay: Relay) -> None:
    run, compiled = make_run(), make_compiled()
    for _ in range(2):
        make_decision(run, make_profile(email="family@example.com", consent=("marketing",)), compiled=compiled)
    assert dispatch_take_up(run_id=run.pk) == 2
    messages_send()
    assert relay.recipients() == {"family@example.com": 1}
    assert dict(run_counts(run.pk).withheld) == {"duplicate_address": 1}
    # and also when the second is decided later
    make_decision(run, make_profile(email="family@example.com", consent=("marketing",)), compiled=compiled)
    dispatch_take_up(run_id=run.pk)
    messages_send()
    assert relay.recipients() == {"family@example.com": 1}
    assert dict(run_counts(run.pk).withheld) == {"duplicate_address": 2}


def test_what_waits_too_long_is_withheld(relay: Relay) -> None:
    run = make_run()
    make_decisions(run, make_people(3), make_compiled())
    dispatch_take_up(run_id=run.pk)
    Dispatch.objects.update(not_after=now())
    messages_send()
    assert relay.accepted == []
    assert messages_end_late() == 3
    assert dict(run_counts(run.pk).withheld) == {"too_late": 3}


def test_a_paused_run_waits_and_a_cancelled_one_ends(relay: Relay) -> None:
    run = make_run()
    make_decisions(run, make_people(4), make_compiled())
    dispatch_take_up(run_id=run.pk)
    dispatch = Dispatch.objects.get()
    dispatch_pause(dispatch_id=dispatch.pk)
    assert messages_send() is False
    assert relay.accepted == []
    dispatch_resume(dispatch_id=dispatch.pk)
    dispatch_cancel(dispatch_id=dispatch.pk)
    messages_send()
    assert states() == {State.CANCELLED: 4}
    # what is decided after it is cancelled at once
    make_decisions(run, make_people(1), make_compiled())
    dispatch_take_up(run_id=run.pk)
    assert states() == {State.CANCELLED: 5}
    with pytest.raises(Conflict):
        dispatch_resume(dispatch_id=dispatch.pk)
    assert relay.accepted == []


def test_a_cancelled_run_takes_its_messages_along_in_one_transaction() -> None:
    run = make_run()
    make_decisions(run, make_people(2), make_compiled())
    dispatch_take_up(run_id=run.pk)
    # rolled back with the run's cancellation
    with transaction.atomic():
        run_stopped.send(Run, run_id=run.pk)
        assert states() == {State.CANCELLED: 2}
        transaction.set_rollback(True)
    assert states() == {State.QUEUED: 2}
    run_stopped.send(Run, run_id=run.pk)
    assert states() == {State.CANCELLED: 2}


def test_transactional_mail_needs_no_consent_and_goes_first(relay: Relay) -> None:
    bulk, order = make_run(), make_run(purpose="transactional")
    make_decisions(bulk, make_people(3), make_compiled())
    make_decisions(order, make_people(2, consent=False, prefix="order"), make_compiled())
    dispatch_take_up(run_id=bulk.pk)
    dispatch_take_up(run_id=order.pk)
    messages_send()
    assert [one.recipient.startswith("order") for one in relay.accepted] == [True, True, False, False, False]
    assert b"List-Unsubscribe" not in relay.accepted[0].content
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in relay.accepted[2].content


def test_a_sender_ends_when_its_time_is_up_and_gives_back_what_it_has(relay: Relay, settings: Settings) -> None:
    settings.SEND_WINDOW = 2
    run = make_run()
    make_decisions(run, make_people(20), make_compiled())
    dispatch_take_up(run_id=run.pk)
    relay.plan = lambda recipient: "slow 0.1"
    assert messages_send(seconds=0.3) is True
    found = states()
    assert set(found) == {State.SENT, State.QUEUED}
    assert 0 < found[State.SENT] < 20
    relay.plan = lambda recipient: "ok"
    messages_send()
    assert states() == {State.SENT: 20}
    assert set(relay.recipients().values()) == {1}


def test_a_claim_reads_what_it_takes_and_not_all_that_waits() -> None:
    # given 300 messages that wait, and a database that last counted when none did
    run = make_run()
    make_decisions(run, make_people(300), make_compiled())
    dispatch_take_up(run_id=run.pk)
    with SenderProcess() as sender, transaction.atomic(), connection.cursor() as cursor:
        messages_release(claimed=messages_claim(sender_id=sender.id, channel=Channel.EMAIL, count=1))
        held = messages_claim(sender_id=sender.id, channel=Channel.EMAIL, count=300)
        cursor.execute("ANALYZE sending_message")
        assert messages_release(claimed=held) == 300
        read = "SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'sending_message'"
        cursor.execute(read)
        before = cursor.fetchone()[0]
        # when 50 of them are claimed
        claimed = messages_claim(sender_id=sender.id, channel=Channel.EMAIL, count=50)
        cursor.execute(read)
        # then each was read by what waits, and by its id, and not the other 250
        assert len(claimed) == 50
        assert cursor.fetchone()[0] - before < 150
        messages_release(claimed=claimed)


def test_without_its_master_key_nothing_is_sent_and_all_goes_out_once_it_is_back(
    relay: Relay, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    run = make_run()
    make_decisions(run, make_people(5), make_compiled())
    dispatch_take_up(run_id=run.pk)
    keys = settings.MASTER_KEYS

    settings.MASTER_KEYS = {"m9": key_make()}
    assert messages_send() is False

    assert (states(), relay.accepted) == ({State.QUEUED: 5}, [])
    assert "nothing is sent: Sealed values can't be read: the master key m1 is not in MASTER_KEYS" in caplog.text
    settings.MASTER_KEYS = keys
    messages_send()
    assert states() == {State.SENT: 5}
