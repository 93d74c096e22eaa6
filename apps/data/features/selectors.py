"""Values of features, read for many people at once, as they were known at a moment."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from django.db import connection

from apps.foundation.core.errors import Invalid

from .definitions import FEATURES, RECENT_LINES, FeatureValue

_ORDERS = """
    LEFT JOIN (
        SELECT o.profile_id, count(*) AS number, max(o.placed_at) AS newest, sum(o.revenue) AS revenue
        FROM events_order o
        WHERE o.profile_id = ANY(%(ids)s) AND o.status = 'purchase' AND o.placed_at <= %(as_of)s
        GROUP BY o.profile_id
    ) orders ON orders.profile_id = asked.id"""

_TOP_CATEGORY = """
    LEFT JOIN (
        SELECT DISTINCT ON (o.profile_id) o.profile_id, i.category
        FROM events_order o
        JOIN events_orderline l ON l.order_id = o.id AND l.is_purchase
        JOIN catalog_item i ON i.id = l.item_id AND i.category <> ''
        WHERE o.profile_id = ANY(%(ids)s) AND o.status = 'purchase'
          AND o.placed_at <= %(as_of)s AND o.placed_at >= %(top_category_from)s
        GROUP BY o.profile_id, i.category
        ORDER BY o.profile_id, count(*) DESC, i.category COLLATE "C"
    ) top ON top.profile_id = asked.id"""

# Along the index, newest order first, and only as many lines as are needed: a wholesaler costs no more than others.
_RECENT_ITEMS = """
    LEFT JOIN LATERAL (
        SELECT array_agg(lines.item_id) AS item_ids
        FROM (
            SELECT l.item_id
            FROM (
                SELECT o.id, o.placed_at
                FROM events_order o
                WHERE o.profile_id = asked.id AND o.status = 'purchase' AND o.placed_at <= %(as_of)s
                ORDER BY o.placed_at DESC, o.id DESC
                LIMIT %(recent_lines)s
            ) o
            JOIN events_orderline l ON l.order_id = o.id AND l.is_purchase
            ORDER BY o.placed_at DESC, o.id DESC, l.number
            LIMIT %(recent_lines)s
        ) lines
    ) recent ON TRUE"""

_COLUMNS = {
    "orders_count": ("orders.number", _ORDERS),
    "last_order_at": ("orders.newest", _ORDERS),
    "days_since_last_order": (
        "floor(extract(epoch FROM %(as_of)s::timestamptz - orders.newest) / 86400)::int",
        _ORDERS,
    ),
    "lifetime_value": ("orders.revenue", _ORDERS),
    "top_category": ("top.category", _TOP_CATEGORY),
    "recent_items": ("recent.item_ids", _RECENT_ITEMS),
}


def features_read(
    *, profile_ids: Sequence[int], names: Sequence[str], as_of: datetime
) -> dict[int, dict[str, FeatureValue]]:
    """The named features of each profile, from what was placed up to and including `as_of`; one statement.

    Each id asked for is in the answer, with the defaults where nothing is known. Raises Invalid for a name that
    no feature has. The hot path: rows into dicts, only what the names need is read.
    """
    for name in names:
        if name not in FEATURES:
            raise Invalid("feature_unknown", f"There is no feature {name!r}: there are {', '.join(FEATURES)}")
    columns = [_COLUMNS[name][0] for name in names]
    joins = dict.fromkeys(_COLUMNS[name][1] for name in names)
    statement = (
        f"SELECT {', '.join(['asked.id', *columns])} FROM unnest(%(ids)s::bigint[]) AS asked(id) {' '.join(joins)}"  # noqa: S608  # our own names
    )
    window = FEATURES["top_category"].window
    params: dict[str, Any] = {
        "ids": list(profile_ids),
        "as_of": as_of,
        "top_category_from": as_of - window if window is not None else as_of,
        "recent_lines": RECENT_LINES,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return {
            profile_id: {name: _value(name, value) for name, value in zip(names, values, strict=True)}
            for profile_id, *values in cursor.fetchall()
        }


def _value(name: str, value: Any) -> FeatureValue:
    if value is None:
        default = FEATURES[name].default
        return list(default) if isinstance(default, list) else default
    if name == "recent_items":
        return list(dict.fromkeys(value))
    return cast(FeatureValue, value)
