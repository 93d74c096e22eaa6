"""Features of items and of the moment, as they were known at moments. They need no state of their own."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connection

from apps.data.catalog.promotions import promotions_active
from apps.data.consent.preferences import zones_read
from apps.data.profiles.models import Profile
from apps.foundation.core.errors import Invalid

from .definitions import CONTEXT_FEATURES, ITEM_FEATURES, Feature, FeatureValue
from .engine import share

HALF_LIFE_SECONDS: Final = 7 * 86_400
_WEIGHT_PARTS: Final = 10**12
"""An order weighs so many when it is placed. Whole parts are added, so that no order of adding gives another sum."""
_WEIGHS: Final = timedelta(seconds=41 * HALF_LIFE_SECONDS)
"""So long it weighs anything: halved 41 times, it is less than half a part."""

# What is bought is read once for all moments, and prices alone where they are asked for.
_ITEMS: Final = """
WITH asked AS (
    SELECT asked.n, asked.at, i.id, i.price, i.cost, i.currency, i.created_at
    FROM unnest(%(skus)s::text[], %(ats)s::timestamptz[]) WITH ORDINALITY AS asked(sku, at, n)
    LEFT JOIN catalog_item i ON i.sku = asked.sku
), fifths AS (
    SELECT currency, percentile_disc(ARRAY[0.2, 0.4, 0.6, 0.8]) WITHIN GROUP (ORDER BY price) AS most
    FROM catalog_item WHERE price IS NOT NULL AND %(bucket)s GROUP BY currency
), held AS (
    SELECT DISTINCT l.item_id, o.id, o.placed_at, o.recorded_at
    FROM events_orderline l JOIN events_order o ON o.id = l.order_id
    WHERE l.item_id IN (SELECT id FROM asked) AND l.is_purchase AND o.status = 'purchase' AND %(popularity)s
        AND o.placed_at > %(oldest)s AND o.placed_at <= %(newest)s
), popular AS (
    SELECT asked.n, sum((%(parts)s * power(
        0.5::float8, extract(epoch FROM asked.at - held.placed_at)::float8 / %(half)s))::bigint) AS weight
    FROM asked JOIN held ON held.item_id = asked.id AND held.placed_at > asked.at - %(weighs)s
        AND held.placed_at <= asked.at AND held.recorded_at <= asked.at
    GROUP BY asked.n
)
SELECT CASE WHEN asked.price IS NULL THEN 0
            ELSE 1 + (SELECT count(*) FROM unnest(fifths.most) AS edge WHERE asked.price > edge) END,
       COALESCE(popular.weight, 0),
       asked.price,
       asked.cost,
       CASE WHEN asked.created_at <= asked.at
            THEN floor(extract(epoch FROM asked.at - asked.created_at) / 86400)::int END
FROM asked
LEFT JOIN fifths ON fifths.currency = asked.currency
LEFT JOIN popular ON popular.n = asked.n
ORDER BY asked.n
"""


def items_read(*, moments: Sequence[tuple[str, datetime]], names: Sequence[str]) -> list[dict[str, FeatureValue]]:
    """For each item, by its number, and moment the named features as they were known then, in the order asked; of one
    that the catalog does not have the defaults. One statement.

    Prices and costs are those of now, as the catalog keeps no others (`Feature.of_now`). Raises Invalid for a name that
    no feature of items has.
    """
    _names_check(names, ITEM_FEATURES)
    if not moments or not names:
        return [{} for _ in moments]
    ats = [at for _, at in moments]
    terms: dict[str, Any] = {
        "skus": [sku for sku, _ in moments],
        "ats": ats,
        "oldest": min(ats) - _WEIGHS,
        "newest": max(ats),
        "weighs": _WEIGHS,
        "bucket": "price_bucket" in names,
        "popularity": "popularity" in names,
        "parts": _WEIGHT_PARTS,
        "half": HALF_LIFE_SECONDS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_ITEMS, terms)
        read: list[dict[str, FeatureValue]] = []
        for bucket, weight, price, cost, freshness in cursor.fetchall():
            values: dict[str, FeatureValue] = {
                "price_bucket": bucket,
                "popularity": round(Decimal(weight) / _WEIGHT_PARTS, 4),
                "margin": margin(price, cost),
                "freshness_days": freshness,
            }
            read.append({name: values[name] for name in names})
        return read


def margin(price: Decimal | None, cost: Decimal | None) -> Decimal | None:
    """What of a price is left to the shop, as a share of it, rounded half up to four places; below 0 where it pays more
    than it gets. None where one of the two is unknown, or nothing is asked for it."""
    if price is None or cost is None or price <= 0:
        return None
    return share(int((price - cost) * 10_000), int(price * 10_000))


def context_read(*, moments: Sequence[tuple[int, datetime]], names: Sequence[str]) -> list[dict[str, FeatureValue]]:
    """For each person and moment the named features of that moment where they are, in the order asked: in their time
    zone, as known now (UTC where none is), and in their country. At most one query for zones, countries and promotions
    each. Raises Invalid for a name that no such feature has.
    """
    _names_check(names, CONTEXT_FEATURES)
    if not moments or not names:
        return [{} for _ in moments]
    ids = list({profile_id for profile_id, _ in moments})
    read: list[dict[str, FeatureValue]] = [{} for _ in moments]
    if not {"hour", "weekday"}.isdisjoint(names):
        zones, utc = zones_read(profile_ids=ids), ZoneInfo("UTC")
        for values, (profile_id, at) in zip(read, moments, strict=True):
            there = at.astimezone(zones.get(profile_id, utc))
            values |= {"hour": there.hour, "weekday": there.isoweekday()}
    if "active_promotions" in names:
        countries = dict(Profile.objects.filter(pk__in=ids).values_list("pk", "country"))
        held = promotions_active(places=[(at, countries.get(profile_id, "")) for profile_id, at in moments])
        for values, promotions in zip(read, held, strict=True):
            values["active_promotions"] = len(promotions)
    return [{name: values[name] for name in names} for values in read]


def _names_check(names: Iterable[str], known: dict[str, Feature]) -> None:
    for name in names:
        if name not in known:
            raise Invalid("feature_unknown", f"There is no feature {name!r}: there are {', '.join(known)}")
