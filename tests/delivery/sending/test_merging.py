"""A merge and what goes out: one person gets one message for an occasion, and caps count all numbers of theirs."""

import pytest

from apps.data.profiles.merging import profiles_merge
from apps.data.profiles.models import Merge
from apps.decisioning.decisions.limits import Counted
from apps.delivery.sending.caps import contacts_count
from apps.delivery.sending.gate import gate_pass
from apps.delivery.sending.models import Message
from apps.delivery.sending.selectors import messages_count
from apps.foundation.core.clock import now

from .test_gate import claim, make_queued, person_of, sender_at_work, state_of

pytestmark = pytest.mark.usefixtures("ledger")
State = Message.State


def merge(kept: int, absorbed: int) -> None:
    profiles_merge(kept_id=kept, absorbed_id=absorbed, why=Merge.Why.STAFF)


def test_what_waits_for_the_absorbed_one_is_withheld_claimed_or_not() -> None:
    kept, absorbed, other = make_queued(3)
    with sender_at_work() as sender:
        items = claim(sender)
        merge(kept, absorbed)
        passed = gate_pass(sender_id=sender.id, items=items)
        assert {person_of(one) for one in passed} == {kept, other}
    assert state_of(absorbed) == (State.WITHHELD, "merged")


def test_who_got_it_under_another_number_does_not_get_it_again() -> None:
    kept, absorbed = make_queued(2)
    with sender_at_work() as sender:
        items = claim(sender)
        [first] = [item for item in items if person_of(item) == absorbed]
        [second] = [item for item in items if person_of(item) == kept]
        assert len(gate_pass(sender_id=sender.id, items=[first])) == 1
        merge(kept, absorbed)
        assert gate_pass(sender_id=sender.id, items=[second]) == []
        assert (state_of(absorbed)[0], state_of(kept)) == (State.SENDING, (State.WITHHELD, "merged"))


def test_caps_count_what_the_absorbed_one_got() -> None:
    kept, absorbed = make_queued(2)
    began = now()
    with sender_at_work() as sender:
        items = claim(sender)
        gate_pass(sender_id=sender.id, items=[item for item in items if person_of(item) == absorbed])
        merge(kept, absorbed)
        gate_pass(sender_id=sender.id, items=[item for item in items if person_of(item) == kept])
        week = Counted(("marketing",), "", 7)
        assert contacts_count(profile_ids=[kept], counted=[week]) == {kept: (1,)}
        assert messages_count(profile_ids=[kept], purpose="marketing", since=began) == {kept: 1}
