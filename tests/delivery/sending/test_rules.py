"""The table of steps: complete, and held by all who change a state."""

import re
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest

from apps.delivery.sending import rules
from apps.delivery.sending.models import DeliveryAttempt, Message
from apps.delivery.sending.rules import AFTER, COUNTED, FIRST, HELD, STEPS, WAITING, leaving, retry_pause

State = Message.State

ALLOWED = {
    "queued": "claimed withheld cancelled uncertain",
    "retry": "claimed withheld cancelled uncertain",
    "claimed": "sending queued withheld failed cancelled uncertain",
    "sending": "sent retry failed uncertain queued withheld cancelled",
    "uncertain": "sent retry failed queued delivered bounced complained",
    "sent": "delivered bounced complained",
    "delivered": "bounced complained",
    "bounced": "complained",
    "complained": "",
    "withheld": "",
    "failed": "",
    "cancelled": "",
}


@pytest.mark.parametrize(("before", "after"), list(product(State.values, State.values)))
def test_every_pair_of_states(before: str, after: str) -> None:
    if after in ALLOWED[before].split():
        assert leaving(before, to=after) == [before]
    else:
        with pytest.raises(ValueError, match="no step"):
            leaving(before, to=after)


def test_every_state_can_be_reached_and_none_is_a_trap_while_held() -> None:
    reached, todo = set(FIRST), list(FIRST)
    while todo:
        for after in STEPS[todo.pop()] - reached:
            reached.add(after)  # type: ignore[arg-type]
            todo.append(after)  # type: ignore[arg-type]
    assert reached == set(State.values)
    assert set(STEPS) == set(State.values)
    for state in (*WAITING, *HELD):
        assert STEPS[state]


def test_nothing_that_may_have_arrived_is_sent_again_but_by_evidence() -> None:
    for state in (State.SENT, State.DELIVERED, State.BOUNCED, State.COMPLAINED):
        assert STEPS[state] <= {"delivered", "bounced", "complained"}
    assert State.CLAIMED not in STEPS[State.UNCERTAIN]
    assert set(COUNTED) == {"sending", "sent", "delivered", "bounced", "complained", "uncertain"}


def test_each_outcome_leads_somewhere_from_sending() -> None:
    assert set(AFTER) == set(DeliveryAttempt.Outcome.values)
    for state in AFTER.values():
        leaving(State.SENDING, to=state)


def test_pauses_double_up_to_an_hour() -> None:
    minute = timedelta(minutes=1)
    assert [retry_pause(tries, minute) for tries in (1, 2, 3, 6, 7, 8, 99)] == [
        minute,
        minute * 2,
        minute * 4,
        minute * 32,
        minute * 60,
        minute * 60,
        minute * 60,
    ]


def test_who_writes_a_state_in_sql_asks_the_table() -> None:
    """Each UPDATE of the ledger's state has its condition from `leaving`, or names steps that are in the table."""
    folder = Path(rules.__file__).parent
    for path in folder.glob("*.py"):
        source = path.read_text()
        for state in re.findall(r"SET state = '(\w+)'", source):
            assert state in State.values, (path.name, state)
            assert "leaving(" in source, path.name
