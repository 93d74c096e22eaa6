"""Features of items and of the moment. Of a person they are elsewhere: these need no state of their own."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from apps.foundation.core.errors import Invalid

from .definitions import CONTEXT_FEATURES, ITEM_FEATURES, FeatureValue

HALF_LIFE_SECONDS = 7 * 86_400

_ITEMS = """
WITH fifths AS (
    SELECT currency, percentile_disc(ARRAY[0.2, 0.4, 0.6, 0.8]) WITHIN GROUP (ORDER BY price) AS most
    FROM catalog_item WHERE price IS NOT NULL GROUP BY currency
)
SELECT asked.id,
       CASE WHEN i.price IS NULL THEN 0
            ELSE 1 + (SELECT count(*) FROM unnest(fifths.most) AS edge WHERE i.price > edge) END,
       (SELECT COALESCE(sum(power(0.5, extract(epoch FROM %(as_of)s::timestamptz - o.placed_at) / %(half)s)), 0)
        FROM (SELECT DISTINCT l.order_id FROM events_orderline l WHERE l.item_id = asked.id AND l.is_purchase) held
        JOIN events_order o ON o.id = held.order_id AND o.status = 'purchase' AND o.placed_at <= %(as_of)s),
       CASE WHEN i.created_at <= %(as_of)s
            THEN floor(extract(epoch FROM %(as_of)s::timestamptz - i.created_at) / 86400)::int END
FROM unnest(%(ids)s::bigint[]) AS asked(id)
LEFT JOIN catalog_item i ON i.id = asked.id
LEFT JOIN fifths ON fifths.currency = i.currency
"""
_ORDER = ("price_bucket", "popularity", "freshness_days")


def items_read(*, item_ids: Sequence[int], names: Sequence[str], as_of: datetime) -> dict[int, dict[str, FeatureValue]]:
    """The named features of items at a moment; of one that is not in the catalog the defaults. One statement.

    Prices are those of now, as the catalog keeps no others. Raises Invalid for a name that no feature of items has.
    """
    _names_check(names, ITEM_FEATURES)
    with connection.cursor() as cursor:
        cursor.execute(_ITEMS, {"ids": list(item_ids), "as_of": as_of, "half": HALF_LIFE_SECONDS})
        read: dict[int, dict[str, FeatureValue]] = {}
        for item_id, bucket, popularity, freshness in cursor.fetchall():
            values = dict(zip(_ORDER, (bucket, round(Decimal(popularity), 4), freshness), strict=True))
            read[item_id] = {name: values[name] for name in names}
        return read


def context_read(*, names: Sequence[str], at: datetime, zone: str) -> dict[str, FeatureValue]:
    """The named features of a moment where somebody is. Raises Invalid for a name that no such feature has."""
    _names_check(names, CONTEXT_FEATURES)
    there = at.astimezone(ZoneInfo(zone))
    values: dict[str, FeatureValue] = {"hour": there.hour, "weekday": there.isoweekday()}
    return {name: values[name] for name in names}


def _names_check(names: Sequence[str], known: dict[str, Any]) -> None:
    for name in names:
        if name not in known:
            raise Invalid("feature_unknown", f"There is no feature {name!r}: there are {', '.join(known)}")
