"""Reads of the send ledger."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import connection

from apps.foundation.core.postgres import ids_text

from .contracts import CameBack, Pace, RunCounts
from .models import Dispatch, Message, MessageEvent
from .rules import COUNTED

State = Message.State
Kind = MessageEvent.Kind
GONE_OUT = (State.SENT, State.DELIVERED, State.BOUNCED, State.COMPLAINED)
"""What the relay or provider took, whatever came of it later."""

_BY_OUTCOME = """
SELECT decision.outcome, decision.tier, message.state, message.reason, count(*)
FROM decisions_decision AS decision
LEFT JOIN sending_message AS message ON message.id = decision.id
WHERE decision.run_id = %s
GROUP BY 1, 2, 3, 4
"""

# Counted for each by an index: as a join, PostgreSQL would go by what it last knew of how many messages there are, and
# while a large run makes them read all of these for each batch of people.
_GOT = """
WITH number AS (
  SELECT id, id AS person FROM unnest(%(people)s::bigint[]) AS asked(id)
  UNION ALL SELECT id, merged_into_id FROM profiles_profile WHERE merged_into_id = ANY(%(people)s::bigint[]))
SELECT number.person, sum(got.messages)::bigint FROM number CROSS JOIN LATERAL (
  SELECT count(*) AS messages FROM sending_message AS message
  WHERE message.profile_id = number.id AND message.purpose = %(purpose)s
    AND (message.sending_at > %(since)s AND message.state = ANY(%(counted)s)
         OR message.state IN ('queued', 'claimed', 'retry'))
) AS got
WHERE got.messages > 0
GROUP BY number.person
"""

# Time in which nothing goes out for long (a pause, a relay that is away) is not how fast it goes. The first message has
# none before it, and LEAST would pass over that NULL.
_PACE = """
SELECT count(*), COALESCE(sum(LEAST(EXTRACT(epoch FROM finished_at - before), %s)), 0)
FROM (SELECT finished_at, COALESCE(lag(finished_at) OVER (ORDER BY finished_at), finished_at) AS before
      FROM sending_message WHERE dispatch_id = %s AND state = ANY(%s)) AS handed_over
"""
# Whoever complains has it: it was delivered before.
_CAME_BACK = """
SELECT count(*) FILTER (WHERE message.state IN ('delivered', 'complained')),
       count(*) FILTER (WHERE message.state = 'bounced'), count(*) FILTER (WHERE message.state = 'complained'),
       count(*) FILTER (WHERE message.tracked AND message.state = ANY(%s))
FROM sending_dispatch AS dispatch JOIN sending_message AS message ON message.dispatch_id = dispatch.id
WHERE dispatch.run_id = %s
"""
_FOLLOWED = """
SELECT event.kind, count(DISTINCT event.message_id)
FROM sending_dispatch AS dispatch
JOIN sending_message AS message ON message.dispatch_id = dispatch.id AND message.tracked
JOIN sending_messageevent AS event ON event.message_id = message.id
WHERE dispatch.run_id = %s AND event.kind IN ('opened', 'clicked') AND event.machine = ''
GROUP BY event.kind
"""
_HANDED_OVER = """
SELECT count(*) FILTER (WHERE finished_at >= %(since)s), min(finished_at) FILTER (WHERE finished_at >= %(since)s),
       max(finished_at)
FROM sending_dispatch AS dispatch JOIN sending_message AS message ON message.dispatch_id = dispatch.id
WHERE dispatch.run_id = %(run)s AND message.state = ANY(%(gone_out)s)
"""
_BY_DAY = """
SELECT (message.sending_at AT TIME ZONE 'UTC')::date::text, count(*)
FROM sending_dispatch AS dispatch JOIN sending_message AS message ON message.dispatch_id = dispatch.id
WHERE dispatch.run_id = %s AND message.state = ANY(%s) GROUP BY 1
"""
_RATE_WINDOW = timedelta(seconds=30)
_PACE_GAP = 30.0  # seconds
_PACE_LOOKED_AT = 20
_PACE_RUNS = 3


def run_counts(run_id: int) -> RunCounts:
    """Where the people of a run are, decisions and messages joined. A run without either is all zeros."""
    with connection.cursor() as cursor:
        cursor.execute(_BY_OUTCOME, [run_id])
        rows = cursor.fetchall()
    withheld: defaultdict[str, int] = defaultdict(int)
    failed: defaultdict[str, int] = defaultdict(int)
    by_tier: defaultdict[str, int] = defaultdict(int)
    states: defaultdict[str, int] = defaultdict(int)
    for outcome, tier, state, reason, count in rows:
        if outcome != "send":
            withheld[outcome] += count
        elif state == State.WITHHELD:
            withheld[reason] += count
        elif state == State.FAILED:
            failed[reason] += count
        else:
            states[state or State.QUEUED] += count
            if state in GONE_OUT:
                by_tier[tier] += count
    return RunCounts(
        planned=sum(row[4] for row in rows),
        withheld=dict(withheld),
        queued=states[State.QUEUED] + states[State.RETRY],
        sending=states[State.CLAIMED] + states[State.SENDING],
        sent=states[State.SENT] + states[State.DELIVERED] + states[State.BOUNCED] + states[State.COMPLAINED],
        failed=dict(failed),
        uncertain=states[State.UNCERTAIN],
        cancelled=states[State.CANCELLED],
        by_tier=dict(by_tier),
    )


def runs_paused(*, run_ids: Sequence[int]) -> set[int]:
    """Which of these runs are paused."""
    rows = Dispatch.objects.filter(run_id__in=list(run_ids), state=Dispatch.State.PAUSED)
    return set(rows.values_list("run_id", flat=True))


def came_back(run_id: int) -> CameBack:
    """What came back of a run's messages, two statements. What machines opened and followed is not counted."""
    with connection.cursor() as cursor:
        cursor.execute(_CAME_BACK, [[str(state) for state in GONE_OUT], run_id])
        delivered, bounced, complained, tracked = cursor.fetchone()
        cursor.execute(_FOLLOWED, [run_id])
        followed: dict[str, int] = dict(cursor.fetchall())
    return CameBack(
        delivered, bounced, complained, tracked, followed.get(Kind.OPENED, 0), followed.get(Kind.CLICKED, 0)
    )


def handed_over(run_id: int, *, at: datetime) -> tuple[float, datetime | None]:
    """How many messages of a run a second went out in the half minute before, and when the last one did."""
    gone_out = [str(state) for state in GONE_OUT]
    with connection.cursor() as cursor:
        cursor.execute(_HANDED_OVER, {"run": run_id, "since": at - _RATE_WINDOW, "gone_out": gone_out})
        lately, first, last = cursor.fetchone()
    if not lately:
        return 0.0, last
    return round(lately / max((at - first).total_seconds(), 1.0), 1), last


def days_of(run_id: int) -> dict[str, int]:
    """How many messages of a run went out on each day in UTC."""
    with connection.cursor() as cursor:
        cursor.execute(_BY_DAY, [run_id, [str(state) for state in GONE_OUT]])
        return dict(cursor.fetchall())


def messages_count(*, profile_ids: Sequence[int], purpose: str, since: datetime) -> dict[int, int]:
    """How many messages of a purpose each person got since a moment, may have got, or is about to get.

    Who is missing got none. It filters ahead of the gate, which counts under its lock.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _GOT,
            {
                "people": ids_text(profile_ids),
                "purpose": purpose,
                "since": since,
                "counted": [str(state) for state in COUNTED],
            },
        )
        return dict(cursor.fetchall())


def pace_lately(*, at_least: int = 100) -> Pace | None:
    """How fast this installation handed messages over in its last three runs of `at_least` messages; None if never."""
    gone_out = [str(state) for state in GONE_OUT]
    runs = messages = 0
    seconds = 0.0
    with connection.cursor() as cursor:
        for dispatch_id in Dispatch.objects.order_by("-pk").values_list("pk", flat=True)[:_PACE_LOOKED_AT]:
            cursor.execute(_PACE, [_PACE_GAP, dispatch_id, gone_out])
            sent, took = cursor.fetchone()
            if sent < at_least or not took:
                continue
            runs, messages, seconds = runs + 1, messages + sent, seconds + float(took)
            if runs == _PACE_RUNS:
                break
    return Pace(runs, messages, round(messages / seconds, 2)) if runs else None
