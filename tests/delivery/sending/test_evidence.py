"""Settling what is uncertain: by the relay's log, or without any evidence by the purpose."""

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.delivery.sending import windows
from apps.delivery.sending.evidence import AGAIN_AFTER, UNKNOWN_MOST, postfix_log_read
from apps.delivery.sending.models import DeliveryAttempt, Message
from apps.delivery.sending.recovery import sweep
from apps.delivery.sending.services import dispatch_take_up
from apps.delivery.sending.windows import messages_send
from tests.delivery.makers import make_compiled, make_decisions, make_people, make_run
from tests.delivery.relay import Relay
from tests.delivery.sending.test_windows import states

pytestmark = pytest.mark.usefixtures("ledger")

State = Message.State


def test_the_relays_log_settles_what_it_took(relay: Relay, tmp_path: Path) -> None:
    # given three messages without an answer, of which the relay took the first
    run = make_run()
    make_decisions(run, make_people(3), make_compiled())
    dispatch_take_up(run_id=run.pk)
    relay.plan = lambda recipient: "lose after" if relay.accepted else "drop after"
    messages_send()
    assert states() == {State.UNCERTAIN: 3}
    (taken,) = relay.accepted
    other = Message.objects.exclude(pk=taken.message_id).first()
    assert other is not None
    log = tmp_path / "accepted.log"
    log.write_text(
        f"<{taken.message_id}@shop.example>\t{taken.recipient}\n"
        f"<{other.pk}@shop.example>\tsomebody-else@example.com\n"
        "nonsense\n<1@x>\ta@b\n\n"
    )
    # when the log is read, twice
    for _ in range(2):
        out = io.StringIO()
        call_command("messages_settle", relay_log=log, stdout=out)
        # then that one is sent, and who is not in it stays as they are
        assert out.getvalue().endswith("2 still uncertain\n")
    assert states() == {State.SENT: 1, State.UNCERTAIN: 2}
    assert DeliveryAttempt.objects.get(message_id=taken.message_id).outcome == "accepted"


def test_a_log_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError):
        call_command("messages_settle", relay_log=tmp_path / "none.log")


TAKEN, ABORTED, BOUNCED = (f"0192f0aa-0000-7000-8000-00000000000{number}" for number in range(3))
POSTFIX = f"""\
Nov 29 02:00:00 mx postfix/smtpd[71]: 4TZx1Y3Pzz: client=app[192.0.2.1]
Nov 29 02:00:00 mx postfix/cleanup[72]: 4TZx1Y3Pzz: message-id=<{TAKEN}@shop.example>
Nov 29 02:00:00 mx postfix/cleanup[73]: 4TZx1Y4Qyy: message-id=<{ABORTED}@shop.example>
Nov 29 02:00:00 mx postfix/qmgr[70]: 4TZx1Y3Pzz: from=<news@shop.example>, size=19000, nrcpt=1 (queue active)
Nov 29 02:00:01 mx postfix/smtpd[71]: lost connection after DATA (1200 bytes) from app[192.0.2.1]
Nov 29 02:00:01 mx postfix/smtp[74]: 4TZx1Y3Pzz: to=<ann@example.com>, relay=mx.example.com[192.0.2.2]:25, \
delay=0.4, delays=0.1/0/0.2/0.1, dsn=4.3.0, status=deferred (host said: 451 4.3.0 later)
Nov 29 02:00:02 mx postfix-out/smtp[74]: 4TZx1Y3Pzz: to=<ann@example.com>, relay=none, dsn=2.0.0, status=sent (250 OK)
Nov 29 02:00:02 mx postfix/qmgr[70]: 4TZx1Y3Pzz: removed
Nov 29 02:00:03 mx postfix/cleanup[73]: 4TZx1Y4Qyy: message-id=<>
Nov 29 02:00:03 mx postfix/local[75]: 4TZx1Y4Qyy: to=<root@mx>, relay=local, dsn=2.0.0, status=sent (delivered)
Nov 29 02:00:04 mx postfix/cleanup[72]: 4TZx1Y5Rxx: message-id=<{BOUNCED}@shop.example>
Nov 29 02:00:05 mx postfix/smtp[74]: 4TZx1Y5Rxx: to=<bob@inner>, orig_to=<bob@example.com>, dsn=5.1.1, status=bounced
Nov 29 02:00:05 mx sshd[1]: to=<x@y>, status=sent
"""


def test_postfix_took_what_it_tried_to_deliver_and_not_what_broke_off() -> None:
    assert {(str(found), to) for found, to in postfix_log_read(POSTFIX.splitlines())} == {
        (TAKEN, "ann@example.com"),
        (BOUNCED, "bob@example.com"),
    }


def test_postfixs_log_settles_what_it_took(relay: Relay, tmp_path: Path) -> None:
    make_silent(relay)
    (one,) = relay.accepted
    log = tmp_path / "mail.log"
    log.write_text(POSTFIX.replace(TAKEN, one.message_id).replace("ann@example.com", one.recipient))
    call_command("messages_settle", postfix_log=log, stdout=io.StringIO())
    assert states() == {State.SENT: 1}


def make_silent(relay: Relay, purpose: str = "marketing") -> None:
    """One message that the relay took without an answer."""
    run = make_run(purpose=purpose)
    make_decisions(run, make_people(1), make_compiled())
    dispatch_take_up(run_id=run.pk)
    relay.plan = lambda recipient: "drop after"
    messages_send()
    assert states() == {State.UNCERTAIN: 1}


def time_passes() -> None:
    """As if the wait for evidence were over."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE sending_message SET finished_at = finished_at - make_interval(secs => %s)",
            [AGAIN_AFTER.total_seconds()],
        )


def test_without_evidence_marketing_mail_is_never_sent_again(relay: Relay) -> None:
    make_silent(relay)
    time_passes()
    sweep()
    messages_send()
    assert states() == {State.UNCERTAIN: 1}
    assert len(relay.accepted) == 1


def test_without_evidence_transactional_mail_is_sent_again_as_the_same_message(relay: Relay) -> None:
    # given one without an answer
    make_silent(relay, "transactional")
    # when evidence may still come, nothing happens
    sweep()
    assert states() == {State.UNCERTAIN: 1}
    # when none came, it goes out again
    time_passes()
    relay.plan = lambda recipient: "ok"
    sweep()
    messages_send()
    assert states() == {State.SENT: 1}
    first, second = relay.accepted
    assert (first.message_id, first.recipient) == (second.message_id, second.recipient)


def test_a_relay_that_never_answers_gets_a_transactional_message_three_times(relay: Relay) -> None:
    make_silent(relay, "transactional")
    for _ in range(5):
        time_passes()
        sweep()
        windows.breaker.worked()
        messages_send()
    assert len(relay.accepted) == UNKNOWN_MOST
    assert states() == {State.UNCERTAIN: 1}
