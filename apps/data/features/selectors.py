"""Values of features, read for many people at once: as they are now, and as they were known at a moment."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db import connection

from apps.foundation.core.clock import now
from apps.foundation.core.errors import Invalid

from .definitions import EVENT_NAMES, FEATURES, FeatureValue
from .engine import Bought, Happened, State, values
from .online import CopiesAhead, copies_ask, copies_read, features_select
from .sql import name_id

NOW = timedelta(minutes=15)
"""A moment that is not longer ago is asked as now: what happened since counts too."""


def names_check(names: Iterable[str]) -> None:
    """Raises Invalid for a name that no feature of a person has."""
    for name in names:
        if name not in FEATURES:
            raise Invalid("feature_unknown", f"There is no feature {name!r}: there are {', '.join(FEATURES)}")


def features_ask(*, profile_ids: Sequence[int], as_of: datetime) -> CopiesAhead | None:
    """Have Redis bring the copies of some people while something else is read, for `features_read`: so that whoever
    waits, waits for one of the two alone. Used as `with`. None where `as_of` is read from PostgreSQL."""
    at = now()
    return copies_ask(profile_ids=profile_ids) if at - NOW <= as_of <= at else None


def features_read(
    *, profile_ids: Sequence[int], names: Sequence[str], as_of: datetime, ahead: CopiesAhead | None = None
) -> dict[int, dict[str, FeatureValue]]:
    """The named features of each profile, from what happened up to `as_of`, whenever it was recorded.

    Each id asked for is in the answer, with the defaults where nothing is known. as_of: now, or at most `NOW` ago: from
    the online copies, with what happened since; else from PostgreSQL, in one statement. ahead: see `features_ask`.
    Raises Invalid for a name that no feature has.
    """
    names_check(names)
    at = now()
    if at - NOW <= as_of <= at:
        return copies_read(profile_ids=profile_ids, names=names, as_of=at, ahead=ahead)
    return features_select(profile_ids=profile_ids, names=names, as_of=as_of)


_LAST_SEEN = """
SELECT asked.id, GREATEST(
    (SELECT max(t.last_at) FROM features_eventtally t
     WHERE t.profile_id = asked.id AND NOT t.name_id = ANY(%(not_theirs)s)),
    (SELECT max(o.placed_at) FROM events_order o WHERE o.profile_id = asked.id))
FROM unnest(%(ids)s::bigint[]) AS asked(id)
"""


def last_seen_read(*, profile_ids: Sequence[int], but: Sequence[str]) -> dict[int, datetime]:
    """When each last did anything, as far as it is known; without those of whom nothing is.

    but: names of events that happen to people without their doing.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LAST_SEEN, {"ids": list(profile_ids), "not_theirs": [name_id(name) for name in but]})
        return {profile_id: at for profile_id, at in cursor.fetchall() if at is not None}


_EVENTS_KNOWN = """
SELECT e.profile_id, e.recorded_at, e.name, e.occurred_at
FROM events_event e WHERE e.profile_id = ANY(%s) AND e.name = ANY(%s) AND e.recorded_at <= %s
"""
_ORDERS_KNOWN = """
SELECT o.profile_id, o.recorded_at, o.id, o.placed_at, o.revenue,
       (SELECT COALESCE(json_agg(json_build_array(l.item_id, i.category) ORDER BY l.number), '[]')
        FROM events_orderline l JOIN catalog_item i ON i.id = l.item_id WHERE l.order_id = o.id AND l.is_purchase)
FROM events_order o WHERE o.profile_id = ANY(%s) AND o.status = 'purchase' AND o.recorded_at <= %s
"""


def features_as_of(*, moments: Sequence[tuple[int, datetime]], names: Sequence[str]) -> list[dict[str, FeatureValue]]:
    """For each profile and moment the named features as they were known then, in the order asked: rows to train on.

    Only what was *recorded* up to a moment counts, so what is recorded later changes no row. Replayed from single
    events and orders by the engine, which is slower than `features_read`; some thousand rows at a time. Raises Invalid
    for a name that no feature has.
    """
    names_check(names)
    if not moments or not names:
        return [{} for _ in moments]
    ids = sorted({profile_id for profile_id, _ in moments})
    newest = max(moment for _, moment in moments)
    known: dict[int, list[tuple[datetime, Happened | Bought]]] = {profile_id: [] for profile_id in ids}
    with connection.cursor() as cursor:
        cursor.execute(_EVENTS_KNOWN, [ids, list(EVENT_NAMES), newest])
        for profile_id, recorded_at, name, occurred_at in cursor.fetchall():
            known[profile_id].append((recorded_at, Happened(name, occurred_at)))
        cursor.execute(_ORDERS_KNOWN, [ids, newest])
        for profile_id, recorded_at, order_id, placed_at, revenue, lines in cursor.fetchall():
            bought = Bought(order_id, placed_at, revenue, tuple((item, category) for item, category in lines))
            known[profile_id].append((recorded_at, bought))
    rows: list[dict[str, FeatureValue]] = [{} for _ in moments]
    states = {profile_id: State() for profile_id in ids}
    for things in known.values():
        things.sort(key=lambda thing: thing[0])
    taken = dict.fromkeys(ids, 0)
    for place in sorted(range(len(moments)), key=lambda place: moments[place][1]):
        profile_id, moment = moments[place]
        things, state = known[profile_id], states[profile_id]
        while taken[profile_id] < len(things) and things[taken[profile_id]][0] <= moment:
            state.add([things[taken[profile_id]][1]])
            taken[profile_id] += 1
        rows[place] = values(state, names, moment)
    return rows
