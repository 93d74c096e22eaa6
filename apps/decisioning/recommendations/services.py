"""Computing sets: best sellers with a half-life, and what is bought by the same people. All of it in SQL."""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Max

from apps.data.events.models import Order
from apps.foundation.core.clock import now

from .models import BestSeller, Neighbour, RecommendationSet
from .selectors import latest_set

HALF_LIFE_DAYS = 7.0
LIST_LENGTH = 50
"""Items in a list of best sellers."""
NEIGHBOURS = 20
"""Neighbours of an item."""
PERSON_ITEMS = 50
"""Only a person's last so many different items count for neighbours: a wholesaler who bought everything tells little,
and costs the square of it."""
PAIR_BUYERS = 2
"""Two items must have so many buyers in common: one person is chance."""
SETS_KEPT = 3
UNCHANGED_FOR = timedelta(hours=24)
"""Without new orders a set is computed again after so long: categories and titles may have changed."""

_LOCK = 5_208_001  # of pg_advisory_xact_lock: one refresh at a time

# A list's scores are relative to its own newest order: that shifts none of its ranks, and data of any age leaves the
# best item at 1 or more, where 0.5 ^ (age / half-life) alone would be 0. Equals: sold last, sold more, lower id.
_BEST_SELLERS = """
    INSERT INTO recommendations_bestseller (set_id, scope, key, rank, item_id, score)
    WITH sold AS (
        SELECT o.id, o.placed_at, l.item_id, i.category,
               COALESCE(NULLIF(o.country, ''), p.country, '') AS country
        FROM events_order o
        JOIN events_orderline l ON l.order_id = o.id AND l.is_purchase
        JOIN catalog_item i ON i.id = l.item_id AND i.recommendable AND i.title <> ''
        LEFT JOIN profiles_profile p ON p.id = o.profile_id
        WHERE o.status = 'purchase' AND o.placed_at <= %(as_of)s
        GROUP BY o.id, l.item_id, i.category, p.country
    ), listed AS (
        SELECT list.scope, list.key, sold.item_id, sold.placed_at
        FROM sold
        CROSS JOIN LATERAL (
            VALUES ('shop', ''), ('country', sold.country), ('category', sold.category)
        ) AS list (scope, key)
        WHERE list.scope = 'shop' OR list.key <> ''
    ), newest AS (
        SELECT scope, key, max(placed_at) AS placed_at FROM listed GROUP BY scope, key
    ), scored AS (
        SELECT scope, key, item_id, max(listed.placed_at) AS sold_last, count(*) AS orders,
               round(sum(power(0.5::float8, least(
                   extract(epoch FROM newest.placed_at - listed.placed_at)::float8 / 86400 / %(half_life_days)s, 1000
               )))::numeric, 9) AS score
        FROM listed JOIN newest USING (scope, key)
        GROUP BY scope, key, item_id
    ), ranked AS (
        SELECT *, row_number() OVER (
            PARTITION BY scope, key ORDER BY score DESC, sold_last DESC, orders DESC, item_id
        ) AS rank
        FROM scored
    )
    SELECT %(set_id)s, scope, key, rank, item_id, score FROM ranked WHERE rank <= %(list_length)s
    """

_NEIGHBOURS = """
    INSERT INTO recommendations_neighbour (set_id, item_id, rank, neighbour_id, score)
    WITH kept AS MATERIALIZED (
        SELECT profile_id, item_id
        FROM (
            SELECT o.profile_id, l.item_id, row_number() OVER (
                PARTITION BY o.profile_id ORDER BY max(o.placed_at) DESC, l.item_id
            ) AS place
            FROM events_order o
            JOIN events_orderline l ON l.order_id = o.id AND l.is_purchase
            JOIN catalog_item i ON i.id = l.item_id AND i.recommendable AND i.title <> ''
            WHERE o.status = 'purchase' AND o.placed_at <= %(as_of)s AND o.profile_id IS NOT NULL
            GROUP BY o.profile_id, l.item_id
        ) AS bought
        WHERE place <= %(person_items)s
    ), buyers AS MATERIALIZED (
        SELECT item_id, count(*) AS number FROM kept GROUP BY item_id
    ), pairs AS MATERIALIZED (
        SELECT a.item_id AS one, b.item_id AS other, count(*) AS number
        FROM kept a JOIN kept b ON b.profile_id = a.profile_id AND b.item_id > a.item_id
        GROUP BY a.item_id, b.item_id
        HAVING count(*) >= %(pair_buyers)s
    ), scored AS (
        SELECT both_ways.item_id, both_ways.neighbour_id, both_ways.number,
               round(both_ways.number / sqrt(mine.number::float8 * theirs.number) * 1e9) / 1e9 AS score
        FROM (
            SELECT one AS item_id, other AS neighbour_id, number FROM pairs
            UNION ALL
            SELECT other, one, number FROM pairs
        ) AS both_ways
        JOIN buyers mine ON mine.item_id = both_ways.item_id
        JOIN buyers theirs ON theirs.item_id = both_ways.neighbour_id
    ), ranked AS (
        SELECT *, row_number() OVER (
            PARTITION BY item_id ORDER BY score DESC, number DESC, neighbour_id
        ) AS rank
        FROM scored
    )
    SELECT %(set_id)s, item_id, rank, neighbour_id, score FROM ranked WHERE rank <= %(neighbours)s
    """


def recommendation_set_refresh(*, as_of: datetime | None = None, force: bool = False) -> RecommendationSet:
    """Compute a set over the orders up to `as_of` (now), and drop all but the last few.

    Without new orders since the last set, that one is given back, unless `force` is set or it is a day old. One
    transaction: a set is seen whole or not at all, and never changes afterwards. Two refreshes wait for each other.
    """
    as_of = as_of or now()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        purchases = Order.objects.filter(status=Order.Status.PURCHASE, placed_at__lte=as_of)
        orders = purchases.count()
        last = latest_set()
        if last is not None and not force and _is_fresh(last, orders, purchases.aggregate(at=Max("recorded_at"))["at"]):
            return last
        made = RecommendationSet.objects.create(as_of=as_of, half_life_days=HALF_LIFE_DAYS, orders=orders)
        params: dict[str, Any] = {
            "set_id": made.pk,
            "as_of": as_of,
            "half_life_days": HALF_LIFE_DAYS,
            "list_length": LIST_LENGTH,
            "neighbours": NEIGHBOURS,
            "person_items": PERSON_ITEMS,
            "pair_buyers": PAIR_BUYERS,
        }
        cursor.execute("SELECT set_config('work_mem', '128MB', TRUE)")  # for this transaction: pairs are hashed
        # Just after a large import the tables' figures are old, and a nested loop planned by them takes minutes;
        # hashing is right at any size here.
        cursor.execute("SELECT set_config('enable_nestloop', 'off', TRUE)")
        cursor.execute(_BEST_SELLERS, params)
        cursor.execute(_NEIGHBOURS, params)
        cursor.execute("SELECT set_config('enable_nestloop', 'on', TRUE)")
        made.ready = True
        made.save(update_fields=["ready"])
        kept = RecommendationSet.objects.order_by("-pk").values("pk")[:SETS_KEPT]
        old = RecommendationSet.objects.exclude(pk__in=list(kept.values_list("pk", flat=True)))
        for model in (BestSeller, Neighbour):
            model.objects.filter(set__in=old).delete()
        old.delete()
    return made


def _is_fresh(last: RecommendationSet, orders: int, recorded_at: datetime | None) -> bool:
    """No order came, went, or was recorded since; the count sees those that committed late."""
    if now() - last.created_at >= UNCHANGED_FOR or last.orders != orders:
        return False
    return recorded_at is None or recorded_at < last.created_at
