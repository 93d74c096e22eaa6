"""Recording what came of hand-overs: a window in one transaction; conditional, so doing it again changes nothing."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.delivery.channels.addresses import INVALID
from apps.foundation.core.postgres import array_text, ids_text, planned_rows, texts_text

from .contracts import Claimed, Result
from .models import DeliveryAttempt, Message
from .rules import AFTER, AMONG, ERASED, leaving, retry_pause

State = Message.State
Outcome = DeliveryAttempt.Outcome

_RECORD = f"""
WITH moved AS (
  UPDATE sending_message AS message
  SET state = result.state, reason = result.reason, lease_until = NULL,
      sender_id = CASE WHEN result.state = 'uncertain' THEN message.sender_id END,
      not_before = CASE WHEN result.state IN ('retry', 'queued') THEN clock_timestamp() + result.pause
                        ELSE message.not_before END,
      finished_at = CASE WHEN result.state IN ('retry', 'queued') THEN NULL ELSE clock_timestamp() END
  FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[], %(numbers)s::int[], %(states)s::text[],
              %(reasons)s::text[], %(pauses)s::interval[], %(outcomes)s::text[], %(codes)s::text[],
              %(responses)s::text[])
       AS result(id, fence, number, state, reason, pause, outcome, code, response)
  WHERE message.id = result.id AND message.fence = result.fence AND {AMONG.format("%(from)s")}
    AND NOT (message.state = 'uncertain' AND result.state = 'uncertain')
  RETURNING message.id, message.state, message.sending_at, result.number, result.outcome, result.code, result.response),
attempt AS (
  INSERT INTO sending_deliveryattempt AS attempt
    (message_id, number, sender_id, started_at, finished_at, outcome, code, response)
  SELECT id, number, %(sender)s::uuid, sending_at, clock_timestamp(), outcome, code, response FROM moved
  ON CONFLICT (message_id, number) DO UPDATE
  SET outcome = excluded.outcome, code = excluded.code, response = excluded.response, finished_at = excluded.finished_at
  WHERE attempt.outcome = 'unknown')
SELECT count(*) FROM moved
"""  # noqa: S608  # constants
# `uncertain` is left here too: its own sender came back, or its journal was read, and knows what happened.

_KNOWN_BY_NOW = """
UPDATE sending_deliveryattempt AS attempt
SET outcome = result.outcome, code = result.code, response = result.response, finished_at = clock_timestamp()
FROM unnest(%(ids)s::uuid[], %(numbers)s::int[], %(outcomes)s::text[], %(codes)s::text[], %(responses)s::text[])
     AS result(id, number, outcome, code, response)
WHERE attempt.message_id = result.id AND attempt.number = result.number AND attempt.outcome = 'unknown'
"""
# What came of an attempt whose message has gone on meanwhile.

_TRIES = """
SELECT message.id::text, count(*) FILTER (WHERE attempt.outcome = 'deferred'),
       extract(epoch FROM dispatch.not_after - clock_timestamp())
FROM sending_message AS message
JOIN sending_dispatch AS dispatch ON dispatch.id = message.dispatch_id
LEFT JOIN sending_deliveryattempt AS attempt ON attempt.message_id = message.id
WHERE message.id = ANY(%s::uuid[])
GROUP BY message.id, dispatch.not_after
"""

_FAULTY = """
UPDATE sending_message AS message
SET state = fault.state, reason = fault.reason, sender_id = NULL, lease_until = NULL, finished_at = clock_timestamp()
FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::text[]) AS fault(id, fence, state, reason)
WHERE message.id = fault.id AND message.fence = fault.fence AND message.state = ANY(%s)
"""

REASON_OF_REFUSAL: Final = "refused"
REASON_OF_RETRIES: Final = "retries_exhausted"


def results_record(results: Sequence[Result], *, sender_id: UUID) -> None:
    """Write down what came of attempts. See `results_write`."""
    with transaction.atomic(), connection.cursor() as cursor:
        results_write(cursor, results, sender_id=sender_id)


def results_write(cursor: CursorWrapper, results: Sequence[Result], *, sender_id: UUID) -> None:
    """Write down what came of a sender's attempts, in the caller's transaction.

    An attempt's row comes with its outcome; until then the message in `sending` stands for it.

    A deferred message is tried again after a growing pause; without a try or the time for one it has failed.
    """
    if not results:
        return
    for source in (State.SENDING, State.UNCERTAIN):
        for state in (*AFTER.values(), State.FAILED):
            if state != source:
                leaving(source, to=state)
    deferred = [result.message_id for result in results if result.outcome == Outcome.DEFERRED]
    tries: dict[str, tuple[int, float]] = {}
    if deferred:
        cursor.execute(_TRIES, [deferred])
        tries = {row[0]: (row[1] + 1, float(row[2])) for row in cursor.fetchall()}
    states, reasons, pauses = [], [], []
    for result in results:
        state, reason, pause = AFTER[result.outcome], "", "0"
        if result.outcome == Outcome.REFUSED:
            reason = result.reason or REASON_OF_REFUSAL
        elif result.outcome == Outcome.DEFERRED:
            count, seconds_left = tries[result.message_id]
            wait = retry_pause(count, timedelta(seconds=settings.SEND_RETRY_SECONDS)).total_seconds()
            pause = f"{wait} seconds"
            if count >= settings.SEND_MAX_ATTEMPTS or wait >= seconds_left:
                state, reason = State.FAILED, REASON_OF_RETRIES
        states.append(state)
        reasons.append(reason)
        pauses.append(pause)
    values: dict[str, Any] = {
        "ids": array_text([result.message_id for result in results]),
        "fences": ids_text([result.fence for result in results]),
        "numbers": ids_text([result.number for result in results]),
        "states": array_text(states),
        "reasons": texts_text(reasons),
        "pauses": texts_text(pauses),
        "outcomes": array_text([result.outcome for result in results]),
        "codes": texts_text([result.code[:20] for result in results]),
        "responses": texts_text([result.response[:500] for result in results]),
        "sender": sender_id,
        "from": [str(State.SENDING), str(State.UNCERTAIN)],
    }
    ((moved,),) = planned_rows(_RECORD, values)
    if moved < len(results):
        cursor.execute(_KNOWN_BY_NOW, values)


def faults_record(faults: Sequence[tuple[Claimed, str]]) -> int:
    """Put aside claimed messages that could not be rendered, each with its reason. Returns how many.

    An address that no server would take, and a person who was erased, are outcomes (withheld); the rest has failed.
    """
    if not faults:
        return 0
    states = [State.WITHHELD if reason in (INVALID, ERASED) else State.FAILED for _, reason in faults]
    for state in states:
        leaving(State.CLAIMED, to=state)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _FAULTY,
            [
                [claimed.id for claimed, _ in faults],
                [claimed.fence for claimed, _ in faults],
                [str(state) for state in states],
                [reason for _, reason in faults],
                [str(State.CLAIMED)],
            ],
        )
        return int(cursor.rowcount)
