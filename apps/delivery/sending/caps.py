"""Caps and limits of contact, counted from the ledger. Under the gate's locks the counts are exact.

All that would send to a person wait at that person's row, so nobody adds to the ledger while it is counted. One
statement for all limits of a window, and one more only where a more important message may wait.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db.backends.utils import CursorWrapper

from apps.decisioning.decisions.engine import FREQUENCY_CAP, OUTRANKED
from apps.decisioning.decisions.limits import Counted, Limit, limits_of
from apps.foundation.core.postgres import array_text, ids_text, planned_rows

from .contracts import Prepared
from .models import Dispatch
from .rules import COUNTED

# All numbers of a person: what went out to a profile that was merged into theirs counts too.
_NUMBERS = """
WITH numbers AS (
  SELECT asked AS number, asked AS person FROM unnest(%(people)s::bigint[]) AS asked
  UNION ALL SELECT id, merged_into_id FROM profiles_profile WHERE merged_into_id = ANY(%(people)s::bigint[]))
"""
# Counted for each by an index: as a join, PostgreSQL would go by what it last knew of how many messages there are, and
# while a large run makes them read all of these for each window.
_GOT = (
    _NUMBERS  # noqa: S608  # texts of our own
    + """
SELECT person, {sums} FROM numbers CROSS JOIN LATERAL (
  SELECT count(*) AS messages, {columns} FROM sending_message
  WHERE profile_id = number AND {since} AND state = ANY(%(states)s::text[])
) AS got
WHERE messages > 0
GROUP BY person
"""
)
_COLUMN = (
    "count(*) FILTER (WHERE purpose = ANY(%(purposes_{at})s::text[])"
    " AND (%(channel_{at})s::text = '' OR channel = %(channel_{at})s::text) AND {since}) AS count_{at}"
)
_SENT_SINCE = "sending_at > clock_timestamp() - make_interval(days => %(days_{at})s::int)"
_SENT_OR_WAITS = f"(state IN ('queued', 'claimed', 'retry') OR {_SENT_SINCE})"

# What waits for the same people and is more important. What is late or held takes no place.
_WAITING = """
SELECT message.profile_id, message.purpose, message.channel, dispatch.priority, count(*)
FROM sending_message AS message
JOIN sending_dispatch AS dispatch ON dispatch.id = message.dispatch_id
WHERE message.profile_id = ANY(%(people)s::bigint[]) AND message.state IN ('queued', 'claimed', 'retry')
  AND NOT message.id = ANY(%(ids)s::uuid[]) AND dispatch.priority > %(priority)s AND dispatch.state = 'active'
  AND dispatch.not_after > clock_timestamp()
GROUP BY message.profile_id, message.purpose, message.channel, dispatch.priority
"""


def contacts_count(*, profile_ids: Sequence[int], counted: Sequence[Counted]) -> dict[int, Sequence[int]]:
    """How many messages each person got, may have got, or is about to get. It filters ahead of the gate."""
    return got_count(profile_ids, counted, waiting=True)


def got_count(
    profile_ids: Iterable[int], counted: Sequence[Counted], *, waiting: bool = False
) -> dict[int, Sequence[int]]:
    """How many messages each person got, or may have got, for each of what is counted; who is missing got none.

    waiting: also what waits for them.
    """
    people = list(profile_ids)
    if not people or not counted:
        return {}
    since, states = _SENT_SINCE, [str(state) for state in COUNTED]
    if waiting:
        since, states = _SENT_OR_WAITS, [*states, "queued", "claimed", "retry"]
    params: dict[str, Any] = {"people": ids_text(people), "states": array_text(states)}
    params["days_longest"] = max(one.days for one in counted)
    for at, one in enumerate(counted):
        params |= {f"purposes_{at}": list(one.purposes), f"channel_{at}": one.channel, f"days_{at}": one.days}
    columns = ", ".join(_COLUMN.format(at=at, since=since.format(at=at)) for at in range(len(counted)))
    sums = ", ".join(f"sum(count_{at})::bigint" for at in range(len(counted)))
    statement = _GOT.format(sums=sums, columns=columns, since=since.format(at="longest"))
    return {profile_id: tuple(counts) for profile_id, *counts in planned_rows(statement, params)}


_SHOWN = (
    _NUMBERS
    + """
SELECT numbers.person, shown.item, count(*)
FROM numbers JOIN decisions_itemshown AS shown ON shown.profile_id = numbers.number
JOIN sending_message AS message ON message.id = shown.decision_id
WHERE (message.state = ANY(%(states)s::text[])
       AND message.sending_at > clock_timestamp() - make_interval(days => %(days)s::int)
       OR %(waiting)s AND message.state IN ('queued', 'claimed', 'retry'))
GROUP BY numbers.person, shown.item
"""
)


def items_count(*, profile_ids: Sequence[int]) -> dict[tuple[int, bytes], int]:
    """How often each person was shown each item, may have been, or is about to be. It filters ahead of the gate."""
    return _shown_count(profile_ids, waiting=True)


def _shown_count(people: Sequence[int], *, waiting: bool) -> dict[tuple[int, bytes], int]:
    limit = settings.ITEM_LIMIT
    if limit is None:
        return {}
    ids = ids_text(people)
    params = {"people": ids, "states": array_text(COUNTED), "days": limit.days, "waiting": waiting}
    return {(profile_id, bytes(item)): count for profile_id, item, count in planned_rows(_SHOWN, params)}


def items_over(cursor: CursorWrapper, items: Sequence[Prepared]) -> set[str]:
    """Which of these messages show an item that their person was shown often enough. Under the locks of their people;
    messages of one window count for each other."""
    if settings.ITEM_LIMIT is None or not items:
        return set()
    ids = array_text([item.claimed.key for item in items])
    cursor.execute("SELECT decision_id::text, item FROM decisions_itemshown WHERE decision_id = ANY(%s::uuid[])", [ids])
    shows: defaultdict[str, list[bytes]] = defaultdict(list)
    for message_id, digest in cursor.fetchall():
        shows[message_id].append(bytes(digest))
    if not shows:
        return set()
    had = _shown_count(sorted({item.claimed.profile_id for item in items}), waiting=False)
    over: set[str] = set()
    for item in items:
        person, shown = item.claimed.profile_id, shows[item.claimed.key]
        if any(had.get((person, one), 0) >= settings.ITEM_LIMIT.count for one in shown):
            over.add(item.claimed.key)
            continue
        for one in shown:
            had[person, one] = had.get((person, one), 0) + 1
    return over


def caps_over(items: Sequence[Prepared], dispatches: Mapping[int, Dispatch]) -> dict[str, str]:
    """Which of these messages may not go out because of a cap or limit, by id, with the reason.

    Under the locks of their people. Messages of one window count for each other; the more important go first, and a
    place that one waits for is kept for it.
    """
    limits = _limits(items, dispatches)
    under = [item for item in items if limits[item.claimed.dispatch_id]]
    if not under:
        return {}
    counted = list(dict.fromkeys(limit.counted for item in under for limit in limits[item.claimed.dispatch_id]))
    people = sorted({item.claimed.profile_id for item in under})
    had = got_count(people, counted)
    waiting = _waiting(items, under, people, dispatches)
    going: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
    over: dict[str, str] = {}
    for item in sorted(items, key=lambda one: -dispatches[one.claimed.dispatch_id].priority):
        person, dispatch = item.claimed.profile_id, dispatches[item.claimed.dispatch_id]
        why = ""
        for limit in limits[dispatch.pk]:
            got = had[person][counted.index(limit.counted)] if person in had else 0
            got += sum(limit.counted.takes(*terms) for terms in going[person])
            if got >= limit.count:
                why = limit.why
                break
            ahead = sum(
                number
                for purpose, channel, priority, number in waiting[person]
                if priority > dispatch.priority and limit.counted.takes(purpose, channel)
            )
            if got + ahead >= limit.count:
                why = OUTRANKED
                break
        if why:
            over[item.claimed.key] = why
        else:
            going[person].append((dispatch.purpose, dispatch.channel))
    return over


def _limits(items: Sequence[Prepared], dispatches: Mapping[int, Dispatch]) -> dict[int, tuple[Limit, ...]]:
    """The cap of its playbook and the limits of contact, by dispatch. System mail stands under its own cap alone."""
    used = {item.claimed.dispatch_id: dispatches[item.claimed.dispatch_id] for item in items}
    general = limits_of((one.purpose, one.channel, one.needs_consent) for one in used.values() if not one.mail_kind)
    found: dict[int, tuple[Limit, ...]] = {}
    for pk, dispatch in used.items():
        own: tuple[Limit, ...] = ()
        if dispatch.cap_days and dispatch.cap_count:
            own = (Limit(dispatch.cap_count, Counted((dispatch.purpose,), "", dispatch.cap_days), FREQUENCY_CAP),)
        others = () if dispatch.mail_kind else general.get((dispatch.purpose, dispatch.channel), ())
        found[pk] = (*own, *others)
    return found


def _waiting(
    items: Sequence[Prepared],
    under: Sequence[Prepared],
    people: Sequence[int],
    dispatches: Mapping[int, Dispatch],
) -> defaultdict[int, list[tuple[str, str, int, int]]]:
    """What waits for these people and is more important than something of the window: purpose, channel, priority,
    how many."""
    found: defaultdict[int, list[tuple[str, str, int, int]]] = defaultdict(list)
    lowest = min(dispatches[item.claimed.dispatch_id].priority for item in under)
    if lowest < Dispatch.PRIORITY_MOST:
        ids = array_text([item.claimed.key for item in items])
        for person, *terms in planned_rows(_WAITING, {"people": ids_text(people), "ids": ids, "priority": lowest}):
            found[person].append((terms[0], terms[1], terms[2], terms[3]))
    return found
