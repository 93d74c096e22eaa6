"""The sweep: finding what was dropped, and driving it again. Each part may run at any time, or twice at once.

What is known of a message in the hands of a sender that is gone:

| its state | the journal says | it becomes |
|---|---|---|
| claimed | – | queued |
| sending | nothing, and the machine is the same since | queued |
| sending | nothing, and the machine crashed since | uncertain |
| sending | begun | uncertain |
| sending | begun, and what came of it | that |

Without the journal (another machine) the lease decides: claimed becomes queued, sending becomes uncertain.
"""

import logging
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import Error as AnyDatabaseError
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from apps.data.consent.models import Channel
from apps.foundation.core.errors import DomainError

from .contracts import Result
from .evidence import uncertain_send_again
from .home import home_look, home_move
from .journal import DeadJournal, JournalBusy, JournalReading
from .models import Allowance, DeliveryAttempt, Dispatch, Message, Sender, SweepMark
from .reports import events_apply_due
from .results import results_record
from .rules import AFTER, HELD, RESTORED, WAITING, leaving
from .sender import boot_id, host_name
from .services import dispatch_take_up, messages_cancel

logger = logging.getLogger(__name__)

State = Message.State
Outcome = DeliveryAttempt.Outcome

KEEP: Final = timedelta(days=7)
"""How long the rows and journals of senders that are gone are kept."""
CHUNK: Final = 5000
FIRST_LOOK: Final = timedelta(days=30)
LOOK_BACK: Final = timedelta(minutes=2)
"""How long before its transaction began a decision may have got its id."""

_HELD = """
SELECT id, fence, attempts, state FROM sending_message
WHERE sender_id = %(sender)s AND state IN ('claimed', 'sending')
UNION ALL
SELECT id, fence, attempts, state FROM sending_message WHERE sender_id = %(sender)s AND state = 'uncertain'
"""

_FREE = """
UPDATE sending_message SET state = 'queued', sender_id = NULL, lease_until = NULL
WHERE id = ANY(%s) AND sender_id = %s AND state = ANY(%s)
"""

_EXPIRED_CLAIMS = """
WITH expired AS (
  SELECT id FROM sending_message WHERE state IN ('claimed', 'sending') AND state = 'claimed'
    AND lease_until < clock_timestamp() ORDER BY lease_until LIMIT %s FOR UPDATE SKIP LOCKED)
UPDATE sending_message AS message SET state = 'queued', sender_id = NULL, lease_until = NULL
FROM expired WHERE message.id = expired.id AND message.state = ANY(%s)
"""

_EXPIRED_SENDING = """
WITH expired AS (
  SELECT id FROM sending_message WHERE state IN ('claimed', 'sending') AND state = 'sending'
    AND lease_until < clock_timestamp() ORDER BY lease_until LIMIT %s FOR UPDATE SKIP LOCKED),
moved AS (
  UPDATE sending_message AS message
  SET state = 'uncertain', lease_until = NULL, finished_at = clock_timestamp()
  FROM expired WHERE message.id = expired.id AND message.state = ANY(%s)
  RETURNING message.id, message.attempts, message.sender_id, message.sending_at)
INSERT INTO sending_deliveryattempt (message_id, number, sender_id, started_at, finished_at, outcome, code, response)
SELECT id, attempts, sender_id, sending_at, clock_timestamp(), 'unknown', '', '' FROM moved
"""

_RESTORED = """
WITH begun AS (
  INSERT INTO sending_deliveryattempt (message_id, number, sender_id, started_at, finished_at, outcome, code, response)
  SELECT id, attempts, sender_id, sending_at, clock_timestamp(), 'unknown', '', ''
  FROM sending_message WHERE state = 'sending'),
moved AS (
  UPDATE sending_message
  SET state = 'uncertain', reason = %s, sender_id = NULL, lease_until = NULL, finished_at = clock_timestamp()
  WHERE state = ANY(%s)
  RETURNING id)
SELECT id FROM moved
"""

_TOO_LATE = """
WITH late AS (
  SELECT message.id FROM sending_dispatch AS dispatch
  JOIN sending_message AS message ON message.dispatch_id = dispatch.id AND message.state IN ('queued', 'retry')
  WHERE dispatch.not_after BETWEEN clock_timestamp() - interval '90 days' AND clock_timestamp()
  LIMIT %s FOR UPDATE OF message SKIP LOCKED)
UPDATE sending_message AS message
SET state = 'withheld', reason = 'too_late', finished_at = clock_timestamp()
FROM late WHERE message.id = late.id AND message.state = ANY(%s)
"""

_REACHED = """
SELECT least(clock_timestamp(), min(xact_start)) FROM pg_stat_activity WHERE datname = current_database()
"""
# What commits later than this sweep began in a transaction that runs now, or begins later.

_UNTAKEN = """
SELECT DISTINCT run_id FROM decisions_decision AS decision
WHERE decision.id >= %(first)s AND decision.outcome = 'send'
  AND NOT EXISTS (SELECT FROM sending_message AS message WHERE message.id = decision.id AND message.id >= %(first)s)
"""
# The bound is said twice, so that no plan of it reads the whole ledger.


def sweep() -> None:
    """Everything, in the order in which one part makes work for the next. A part that fails leaves the others alone."""
    for part in (
        home_look,
        senders_settle,
        leases_end,
        uncertain_send_again,
        decisions_take_up,
        messages_end_late,
        messages_end_cancelled,
        events_apply_due,
        senders_forget,
        allowances_forget,
    ):
        try:
            part()
        except (AnyDatabaseError, DomainError, OSError):
            logger.exception("a part of the sweep failed: %s", part.__name__)
            connection.close()


def senders_settle() -> int:
    """Settle the senders of this machine whose process is gone. Returns how many."""
    settled = 0
    dead_since = Now() - timedelta(seconds=settings.SENDER_DEAD_SECONDS)
    for sender in Sender.objects.filter(settled_at=None, heartbeat_at__lt=dead_since).order_by("heartbeat_at")[:200]:
        same_kernel = sender.boot_id == boot_id()
        if not same_kernel and sender.host != host_name():
            continue  # another machine: its own sweeper, or the lease
        try:
            with DeadJournal(Path(sender.journal)) as reading:
                _settle(sender.pk, reading, complete=same_kernel)
        except JournalBusy:
            continue
        except FileNotFoundError:
            _settle_if_empty(sender.pk)
            continue
        settled += 1
    return settled


def _settle(sender_id: UUID, reading: JournalReading, *, complete: bool) -> None:
    """Bring what a dead sender held to where its journal says. complete: nothing that it wrote can be missing."""
    with connection.cursor() as cursor:
        cursor.execute(_HELD, {"sender": sender_id})
        held: list[tuple[UUID, int, int, str]] = cursor.fetchall()
        claimed = [message_id for message_id, _, _, state in held if state == State.CLAIMED]
        if claimed:
            cursor.execute(_FREE, [claimed, sender_id, leaving(State.CLAIMED, to=State.QUEUED)])
    results = [
        result
        for message_id, fence, number, state in held
        if state != State.CLAIMED
        and (result := _result(message_id, fence, number, reading, complete=complete)) is not None
    ]
    results_record(results, sender_id=sender_id)
    Sender.objects.filter(pk=sender_id, settled_at=None).update(settled_at=Now())
    uncertain = sum(result.outcome == Outcome.UNKNOWN for result in results)
    logger.warning("sender %s is gone: %d held, %d of them uncertain", sender_id, len(held), uncertain)


def _result(message_id: UUID, fence: int, number: int, reading: JournalReading, *, complete: bool) -> Result | None:
    entry, key = reading.entries.get((message_id, number)), str(message_id)
    if entry is None:
        outcome = Outcome.NOT_TRIED if complete else Outcome.UNKNOWN
        return Result(key, fence, number, outcome, response="found in no journal" if not complete else "")
    if entry.outcome not in AFTER:
        return Result(key, fence, number, Outcome.UNKNOWN, response="begun, and the sender died")
    return Result(key, fence, number, entry.outcome, code=entry.code, response="from the sender's journal")


def _settle_if_empty(sender_id: UUID) -> None:
    """A sender without a journal here, and with nothing left in its hands, is done."""
    if not Message.objects.filter(sender_id=sender_id, state__in=[State.CLAIMED, State.SENDING]).exists():
        Sender.objects.filter(pk=sender_id, settled_at=None).update(settled_at=Now())


def leases_end() -> int:
    """Take back what was held past its lease. Returns how many messages moved."""
    moved = 0
    for statement, step in (
        (_EXPIRED_CLAIMS, leaving(State.CLAIMED, to=State.QUEUED)),
        (_EXPIRED_SENDING, leaving(State.SENDING, to=State.UNCERTAIN)),
    ):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, [CHUNK, step])
            moved += int(cursor.rowcount)
    if moved:
        logger.warning("%d messages were held past their lease", moved)
    return moved


def ledger_take_over() -> int:
    """Go on with a ledger that was restored, or held: what waits or is held in it becomes uncertain. Returns how many.

    It may have been handed over since the backup was made. The relay's log tells of what was (`messages_settle`); the
    rest stays uncertain and is not sent, whatever its purpose. In one transaction; safe to repeat.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        decisions_take_up()
        steps = leaving(*WAITING, *HELD, to=State.UNCERTAIN)
        cursor.execute(_RESTORED, [RESTORED, steps])
        moved = int(cursor.rowcount)
        home_move()
    return moved


def messages_end_late() -> int:
    """Withhold what waited past its run's «not after». Returns how many messages moved."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_TOO_LATE, [CHUNK, leaving(*WAITING, to=State.WITHHELD)])
        return int(cursor.rowcount)


def messages_end_cancelled() -> int:
    """Cancel what still waits of cancelled runs. Returns how many messages moved."""
    dispatches = Dispatch.objects.filter(state=Dispatch.State.CANCELLED, not_after__gt=Now()).values_list(
        "pk", flat=True
    )
    return sum(messages_cancel(dispatch_id=dispatch_id, count=CHUNK) for dispatch_id in dispatches)


def decisions_take_up() -> int:
    """Take up decisions whose news was lost, also those of the time in which no sweep ran. Returns how many messages.

    Decision ids sort by time, so only what was decided since the last sweep is looked at.
    """
    with connection.cursor() as cursor:
        cursor.execute(_REACHED)
        reached_at: datetime = cursor.fetchone()[0]
        mark, _ = SweepMark.objects.get_or_create(name="decisions", defaults={"reached_at": reached_at - FIRST_LOOK})
        first_id = uuid7_floor(mark.reached_at - LOOK_BACK)
        cursor.execute(_UNTAKEN, {"first": first_id})
        run_ids = sorted(row[0] for row in cursor.fetchall())
    taken = sum(dispatch_take_up(run_id=run_id, first_id=first_id) for run_id in run_ids)
    SweepMark.objects.filter(pk=mark.pk, reached_at__lt=reached_at).update(reached_at=reached_at)
    return taken


def uuid7_floor(at: datetime) -> UUID:
    """The lowest UUID of version 7 made at that millisecond (RFC 9562, 5.7)."""
    return UUID(int=(max(0, int(at.timestamp() * 1000)) << 80) | (0x7 << 76) | (0x2 << 62))


def senders_wanted(channel: Channel = Channel.EMAIL) -> int:
    """How many senders more could work on what is due: one for each SEND_CLAIM messages, eight at most.

    Senders of all channels count as alive: a channel waits for no other longer than a sender's minute, since each is
    woken for at least one.
    """
    limit = settings.SEND_CLAIM * 8
    due = Message.objects.filter(
        Q(state__in=[State.QUEUED, State.RETRY]),
        not_before__lte=Now(),
        dispatch__state="active",
        dispatch__channel=channel,
    )[:limit].count()
    alive = Sender.objects.filter(settled_at=None, heartbeat_at__gt=Now() - timedelta(seconds=30)).count()
    least = 1 if due and channel != Channel.EMAIL else 0
    return max(least, -(-due // settings.SEND_CLAIM) - alive)


def allowances_forget() -> int:
    """Remove what was counted under limits that nothing fell under for long. Returns how many."""
    return Allowance.objects.filter(filled_at__lt=Now() - KEEP).delete()[0]


def senders_forget() -> int:
    """Remove rows and journals of senders that are long gone. Returns how many rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM sending_sender WHERE settled_at < clock_timestamp() - make_interval(secs => %s)"
            " RETURNING journal",
            [KEEP.total_seconds()],
        )
        journals = [row[0] for row in cursor.fetchall()]
    for journal in journals:
        Path(journal).unlink(missing_ok=True)
    return len(journals)
