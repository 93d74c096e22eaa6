"""The state machine of a message, in one place: every step there is, and what each outcome leads to. Pure.

Who changes a state names the step by `leaving`, so that a step which is not in the table can't be written; the tests
hold the database against the same table.
"""

from datetime import timedelta
from typing import Final

from .models import DeliveryAttempt, Message, MessageEvent

_State = Message.State
_Outcome = DeliveryAttempt.Outcome
_Kind = MessageEvent.Kind

FIRST: Final = frozenset({_State.QUEUED, _State.WITHHELD, _State.CANCELLED})
"""The states in which a message may begin."""

STEPS: Final[dict[str, frozenset[str]]] = {
    # to uncertain from all of these: restored from a backup, and perhaps handed over since it was made
    _State.QUEUED: frozenset({_State.CLAIMED, _State.WITHHELD, _State.CANCELLED, _State.UNCERTAIN}),
    _State.RETRY: frozenset({_State.CLAIMED, _State.WITHHELD, _State.CANCELLED, _State.UNCERTAIN}),
    # back to queued: released, or its lease ran out; nothing was handed over
    _State.CLAIMED: frozenset(
        {_State.SENDING, _State.QUEUED, _State.WITHHELD, _State.FAILED, _State.CANCELLED, _State.UNCERTAIN}
    ),
    # back to queued: evidence that nothing was begun; withheld, cancelled: the gate was asked again and said no
    _State.SENDING: frozenset(
        {
            _State.SENT,
            _State.RETRY,
            _State.FAILED,
            _State.UNCERTAIN,
            _State.QUEUED,
            _State.WITHHELD,
            _State.CANCELLED,
        }
    ),
    # left by evidence only: the sender's own journal, a delivery event, the relay's log
    _State.UNCERTAIN: frozenset(
        {
            _State.SENT,
            _State.RETRY,
            _State.FAILED,
            _State.QUEUED,
            _State.DELIVERED,
            _State.BOUNCED,
            _State.COMPLAINED,
        }
    ),
    _State.SENT: frozenset({_State.DELIVERED, _State.BOUNCED, _State.COMPLAINED}),
    _State.DELIVERED: frozenset({_State.BOUNCED, _State.COMPLAINED}),
    _State.BOUNCED: frozenset({_State.COMPLAINED}),
    _State.COMPLAINED: frozenset(),
    _State.WITHHELD: frozenset(),
    _State.FAILED: frozenset(),
    _State.CANCELLED: frozenset(),
}
"""From each state, the states that may follow."""

WAITING: Final = (_State.QUEUED, _State.RETRY)
HELD: Final = (_State.CLAIMED, _State.SENDING)
COUNTED: Final = (
    _State.SENDING,
    _State.SENT,
    _State.DELIVERED,
    _State.BOUNCED,
    _State.COMPLAINED,
    _State.UNCERTAIN,
)
"""What counts for a cap: everything that the person got, or may have got."""

AMONG: Final = "message.state = ANY(ARRAY(SELECT unnest({}::text[])))"
"""That a message, found by its id, is in one of the states of an array: the condition of an UPDATE.

With the states in plain sight PostgreSQL may go by an index of the rows that are in them, believing that there are none
(as there were when it last counted): for each of the rows it then reads all that wait.
"""

AFTER: Final[dict[str, str]] = {
    _Outcome.ACCEPTED: _State.SENT,
    _Outcome.DEFERRED: _State.RETRY,
    _Outcome.REFUSED: _State.FAILED,
    _Outcome.UNKNOWN: _State.UNCERTAIN,
    _Outcome.NOT_TRIED: _State.QUEUED,
}
"""The state that an attempt's outcome leads to; `retry` becomes `failed` when there is no time or try left."""

LEADS_TO: Final[dict[str, str]] = {
    _Kind.DELIVERED: _State.DELIVERED,
    # whoever opens, follows or answers it, person or machine, has it
    _Kind.OPENED: _State.DELIVERED,
    _Kind.CLICKED: _State.DELIVERED,
    _Kind.AUTORESPONDED: _State.DELIVERED,
    _Kind.BOUNCED: _State.BOUNCED,
    _Kind.REJECTED: _State.BOUNCED,
    _Kind.FAILED: _State.BOUNCED,
    _Kind.COMPLAINED: _State.COMPLAINED,
}
"""The state that what is heard of a message leads to, from where the table allows it; others change none."""

PASSED_ON: Final = (_Kind.OPENED, _Kind.CLICKED, _Kind.BOUNCED, _Kind.COMPLAINED, _Kind.UNSUBSCRIBED)
"""What becomes an event of the person."""

ERASED: Final = "erased"
"""Why a message is withheld whose person was erased: what it is made of can't be read any more."""
RESTORED: Final = "restored"
"""Why a message is uncertain that waited in a backup: it may have gone out since. It is not sent again."""
TAMPERED: Final = "tampered"
"""Why a message failed whose inputs do not open: somebody changed them in the database."""

PAUSE_MAX: Final = timedelta(hours=1)


def leaving(*states: str, to: str) -> list[str]:
    """The states that are left for `to`, for an UPDATE's condition. Raises ValueError for a step not in the table."""
    for state in states:
        if to not in STEPS[state]:
            raise ValueError(f"no step leads from {state} to {to}")
    return [str(state) for state in states]


def sources_of(target: str) -> list[str]:
    """The states from which evidence leads to `target`: what was handed over, or may have been."""
    return [
        str(state)
        for state, after in STEPS.items()
        if target in after and state not in (_State.QUEUED, _State.RETRY, _State.CLAIMED, _State.SENDING)
    ]


def retry_pause(tries: int, first: timedelta) -> timedelta:
    """How long to wait after `tries` tries that were deferred: `first`, doubled each time, at most an hour."""
    pause: timedelta = first * (1 << min(max(tries - 1, 0), 16))
    return min(PAUSE_MAX, pause)
