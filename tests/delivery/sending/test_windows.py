"""The sender's loop against a real relay and a real database."""

import pytest

from apps.delivery.sending.models import DeliveryAttempt, Message, Sender
from apps.delivery.sending.rendering import message_again
from apps.delivery.sending.selectors import run_counts
from apps.delivery.sending.services import dispatch_take_up
from apps.delivery.sending.windows import messages_send
from tests.delivery.makers import make_compiled, make_decision, make_decisions, make_people, make_run
from tests.delivery.relay import Relay
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
