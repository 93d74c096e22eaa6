"""Writes of delivery: taking up decisions, and the orders that a run's messages obey."""

from typing import Final
from uuid import UUID

from django.db import connection, transaction

from apps.data.consent.models import Channel
from apps.data.consent.selectors import ADDRESS_KIND
from apps.data.profiles.mail import mail_is_elsewhere
from apps.decisioning.decisions.selectors import dispatch_terms
from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import right_require
from apps.foundation.core.errors import Conflict, Invalid, NotFound
from apps.foundation.core.live import live_publish
from apps.foundation.governance.services import audit_record

from .gate import dispatch_lock
from .home import home_adopt
from .models import Allowance, Dispatch, Message
from .rules import AMONG, WAITING, leaving

State = Message.State

PER_MINUTE_MOST: Final = 1_000_000
CANCEL_AT_ONCE: Final = 5000
"""Messages that a cancellation moves itself; the sweep moves the rest. None of them can be claimed any more."""

# One statement for all decisions of a batch. Who comes first to an address gets the message; the others are withheld.
# No plan of it reads more than these rows, whatever PostgreSQL believes of a run that began after it last counted:
# decisions are found by their ids, what belongs to each by a subquery of its own (which is no join), and whether an
# address is taken by the unique index itself.
_TAKE_UP = """
WITH fresh AS MATERIALIZED (
  SELECT decision.id, decision.profile_id, decision.compiled_id,
         (SELECT address.digest FROM profiles_identifier AS address
          WHERE address.profile_id = decision.profile_id AND address.kind = %(kind)s AND address.main) AS digest
  FROM decisions_decision AS decision
  WHERE {which} AND decision.outcome = 'send'
    AND (SELECT message.id FROM sending_message AS message WHERE message.id = decision.id) IS NULL),
alone AS (
  INSERT INTO sending_message ({columns}, state, reason, finished_at)
  SELECT {values},
    CASE WHEN %(cancelled)s THEN 'cancelled' ELSE 'queued' END, '', CASE WHEN %(cancelled)s THEN clock_timestamp() END
  FROM fresh ORDER BY id
  ON CONFLICT DO NOTHING RETURNING id),
doubled AS (
  INSERT INTO sending_message ({columns}, state, reason, finished_at)
  SELECT {values}, 'withheld', 'duplicate_address', clock_timestamp()
  FROM fresh WHERE id NOT IN (SELECT id FROM alone) AND digest IS NOT NULL
  ON CONFLICT DO NOTHING RETURNING id)
SELECT (SELECT count(*) FROM alone) + (SELECT count(*) FROM doubled)
"""
_FRESH: Final = {
    "columns": "id, dispatch_id, profile_id, purpose, channel, compiled_id, address_digest, attempts, fence,"
    " not_before, key_id, content_digest, created_at",
    "values": "id, %(dispatch)s, profile_id, %(purpose)s, %(channel)s, compiled_id, digest, 0, 0,"
    " clock_timestamp(), '', '', clock_timestamp()",
}
_TAKE_UP_RUN = _TAKE_UP.format(which="decision.run_id = %(run)s", **_FRESH)
_TAKE_UP_SOME = _TAKE_UP.format(
    which="decision.id BETWEEN %(first)s::uuid AND %(last)s::uuid AND decision.run_id + 0 = %(run)s", **_FRESH
)
_LAST: Final = UUID(int=2**128 - 1)

_CANCEL = f"""
WITH waiting AS (
  SELECT id FROM sending_message WHERE dispatch_id = %(dispatch)s AND state IN ('queued', 'retry')
  LIMIT %(count)s FOR UPDATE SKIP LOCKED),
claimed AS (
  SELECT id FROM sending_message
  WHERE dispatch_id = %(dispatch)s AND state IN ('claimed', 'sending') AND state = 'claimed'
  LIMIT %(count)s FOR UPDATE SKIP LOCKED)
UPDATE sending_message AS message
SET state = 'cancelled', sender_id = NULL, lease_until = NULL, finished_at = clock_timestamp()
FROM (SELECT id FROM waiting UNION ALL SELECT id FROM claimed) AS held
WHERE message.id = held.id AND {AMONG.format("%(from)s")}
"""  # noqa: S608  # constants
# As the two indexes of live messages find them: a cancelled run is looked at again by every sweep.


def dispatch_take_up(*, run_id: int, first_id: UUID | None = None, last_id: UUID | None = None) -> int:
    """Make a message of each decision to send that has none yet. Returns how many messages were made.

    first_id, last_id: only decisions with these ids and between; last_id counts only with a first_id. Done twice, or by
    several at once, it makes nothing twice.
    Raises NotFound for an unknown run, Conflict `occasion_taken` when another run has this occasion.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        dispatch = _dispatch_locked(run_id)
        cursor.execute(
            _TAKE_UP_RUN if first_id is None else _TAKE_UP_SOME,
            {
                # a mail that goes elsewhere gets its address at the gate
                "kind": ""
                if mail_is_elsewhere(dispatch.mail_kind)
                else ADDRESS_KIND.get(Channel(dispatch.channel), ""),
                "run": run_id,
                "first": first_id,
                "last": last_id or _LAST,
                "dispatch": dispatch.pk,
                "purpose": dispatch.purpose,
                "channel": dispatch.channel,
                "cancelled": dispatch.state == Dispatch.State.CANCELLED,
            },
        )
        taken = int(cursor.fetchone()[0])
        if taken:
            transaction.on_commit(lambda: live_publish(f"run-{run_id}"))
    return taken


def _dispatch_locked(run_id: int) -> Dispatch:
    """The run's dispatch, made if need be, its row locked: take-ups and orders of one run come one after the other.

    A run to which people are added may go on for longer than it said at first.
    """
    found = Dispatch.objects.select_for_update(no_key=True).filter(run_id=run_id).first()
    terms = dispatch_terms(run_id=run_id)
    if found is not None:
        if terms.not_after > found.not_after:
            found.not_after = terms.not_after
            found.save(update_fields=["not_after"])
        return found
    home_adopt()
    Dispatch.objects.bulk_create(
        [
            Dispatch(
                run_id=terms.run_id,
                label=terms.label[:260],
                occasion=terms.occasion,
                purpose=terms.purpose,
                topic=terms.topic,
                mail_kind=terms.mail_kind,
                needs_consent=terms.needs_consent,
                channel=terms.channel,
                from_name=terms.from_name,
                from_email=terms.from_email,
                reply_to=terms.reply_to,
                link_hosts=list(terms.link_hosts),
                cap_count=terms.cap_count,
                cap_days=terms.cap_days,
                priority=terms.priority,
                hours=terms.hours,
                not_after=terms.not_after,
                state=Dispatch.State.CANCELLED if terms.cancelled else Dispatch.State.ACTIVE,
            )
        ],
        ignore_conflicts=True,  # another worker made it meanwhile
    )
    found = Dispatch.objects.select_for_update(no_key=True).filter(run_id=run_id).first()
    if found is None:
        raise Conflict("occasion_taken", "Another run has this occasion: one person gets one message for it")
    return found


def channel_of(run_id: int) -> tuple[str, bool]:
    """By which kind of channel a run's messages go out, and whether they are urgent: nobody needs to agree to them.

    E-mail that is not, of a run that has none.
    """
    found = Dispatch.objects.filter(run_id=run_id).values_list("channel", "needs_consent").first()
    return (str(Channel.EMAIL), False) if found is None else (found[0], not found[1])


def dispatch_pause(*, dispatch_id: int, by: User | None = None) -> None:
    """Let nothing more of a run go out until it is resumed. Once this has committed, no message enters `sending`.

    by: who gave the order, for the audit log; None when the caller asks for the right and records it.
    Raises NotFound, NotAllowed, Conflict when it was cancelled.
    """
    _order(dispatch_id, by, to=Dispatch.State.PAUSED, only_from=(Dispatch.State.ACTIVE, Dispatch.State.PAUSED))


def dispatch_resume(*, dispatch_id: int, by: User | None = None) -> None:
    """Let a paused run go on; the sweep wakes senders. Raises NotFound, NotAllowed, Conflict when it was cancelled."""
    _order(dispatch_id, by, to=Dispatch.State.ACTIVE, only_from=(Dispatch.State.ACTIVE, Dispatch.State.PAUSED))


def dispatch_throttle(*, dispatch_id: int, per_minute: int | None) -> None:
    """Let at most so many messages of a run out in a minute; None: as fast as it goes. The caller asks for the right.

    It holds for what is claimed from then on. Raises NotFound; Invalid for a number below 1.
    """
    if per_minute is not None and not 1 <= per_minute <= PER_MINUTE_MOST:
        raise Invalid("per_minute", f"Give a whole number from 1 to {PER_MINUTE_MOST}, or none")
    with transaction.atomic():
        dispatch = Dispatch.objects.select_for_update(no_key=True).filter(pk=dispatch_id).first()
        if dispatch is None:
            raise NotFound("dispatch_unknown", "There is no such dispatch")
        Dispatch.objects.filter(pk=dispatch_id).update(per_minute=per_minute)
        Allowance.objects.filter(key=f"run:{dispatch_id}").delete()
        transaction.on_commit(lambda: live_publish(f"run-{dispatch.run_id}"))


def dispatch_cancel(*, dispatch_id: int, by: User | None = None) -> None:
    """Let nothing more of a run go out, for good. Once this has committed, no message enters `sending`.

    What waits or is claimed is cancelled here, as far as it is not much; the sweep does the rest. What is in `sending`
    passed the gate before, and is handed over within a second or taken back.
    Raises NotFound, NotAllowed.
    """
    with transaction.atomic():
        _order(dispatch_id, by, to=Dispatch.State.CANCELLED, only_from=tuple(Dispatch.State))
        messages_cancel(dispatch_id=dispatch_id, count=CANCEL_AT_ONCE)


def messages_cancel(*, dispatch_id: int, count: int) -> int:
    """Cancel messages of a cancelled dispatch: up to `count` that wait, and up to `count` claimed. Returns how many."""
    steps = leaving(*WAITING, State.CLAIMED, to=State.CANCELLED)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CANCEL, {"dispatch": dispatch_id, "count": count, "from": steps})
        return int(cursor.rowcount)


def _order(dispatch_id: int, by: User | None, *, to: Dispatch.State, only_from: tuple[Dispatch.State, ...]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        dispatch_lock(cursor, [dispatch_id], shared=False)
        dispatch = Dispatch.objects.select_for_update(no_key=True).filter(pk=dispatch_id).first()
        if dispatch is None:
            raise NotFound("dispatch_unknown", "There is no such dispatch")
        if by is not None:
            action = "run" if to == Dispatch.State.ACTIVE else "stop"
            right_require(by, action, dispatch, what=f"{'resume' if action == 'run' else 'stop'} this run")
        if dispatch.state not in only_from:
            raise Conflict("dispatch_cancelled", "This run was cancelled for good; start another one")
        if dispatch.state != to:
            Dispatch.objects.filter(pk=dispatch_id).update(state=to)
            if by is not None:
                audit_record(action=f"sending.dispatch.{to}", actor=by, subject=dispatch)
            transaction.on_commit(lambda: live_publish(f"run-{dispatch.run_id}"))


def run_stop(*, run_id: int) -> None:
    """Cancel what delivery has of a run, inside the transaction that cancels the run itself.

    A run of which nothing was taken up yet has nothing to cancel: its terms say `cancelled` from then on.
    """
    dispatch_id = Dispatch.objects.filter(run_id=run_id).values_list("pk", flat=True).first()
    if dispatch_id is not None:
        dispatch_cancel(dispatch_id=dispatch_id)
