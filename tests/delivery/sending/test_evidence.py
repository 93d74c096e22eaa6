"""Settling what is uncertain by the relay's log."""

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from apps.delivery.sending.models import DeliveryAttempt, Message
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
