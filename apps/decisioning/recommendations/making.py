"""Computing the lists of a set over the purchase orders, all of it in SQL: in the transaction that makes the set."""

from collections.abc import Mapping
from typing import Any

from django.db.backends.utils import CursorWrapper

from apps.data.consent.selectors import UNFIT

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

# A list's scores are relative to its own newest order: that shifts none of its ranks, and data of any age leaves the
# best item at 1 or more, where 0.5 ^ (age / half-life) alone would be 0. Equals: sold last, sold more, lower id.
_BEST_SELLERS = f"""
    INSERT INTO recommendations_bestseller (set_id, scope, key, rank, item_id, score)
    WITH unfit AS MATERIALIZED ({UNFIT}), sold AS (
        SELECT o.id, o.placed_at, l.item_id, i.category,
               COALESCE(NULLIF(o.country, ''), p.country, '') AS country
        FROM events_order o
        JOIN events_orderline l ON l.order_id = o.id AND l.is_purchase
        JOIN catalog_item i ON i.id = l.item_id AND i.recommendable AND i.title <> ''
        LEFT JOIN profiles_profile p ON p.id = o.profile_id
        WHERE o.status = 'purchase' AND o.placed_at <= %(as_of)s
          AND (o.profile_id IS NULL OR o.profile_id NOT IN (SELECT profile_id FROM unfit))
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
    """  # noqa: S608  # names of our own

_NEIGHBOURS = f"""
    INSERT INTO recommendations_neighbour (set_id, item_id, rank, neighbour_id, score)
    WITH unfit AS MATERIALIZED ({UNFIT}), kept AS MATERIALIZED (
        SELECT profile_id, item_id
        FROM (
            SELECT o.profile_id, l.item_id, row_number() OVER (
                PARTITION BY o.profile_id ORDER BY max(o.placed_at) DESC, l.item_id
            ) AS place
            FROM events_order o
            JOIN events_orderline l ON l.order_id = o.id AND l.is_purchase
            JOIN catalog_item i ON i.id = l.item_id AND i.recommendable AND i.title <> ''
            WHERE o.status = 'purchase' AND o.placed_at <= %(as_of)s AND o.profile_id IS NOT NULL
              AND o.profile_id NOT IN (SELECT profile_id FROM unfit)
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
    """  # noqa: S608  # names of our own


def best_sellers_make(cursor: CursorWrapper, terms: Mapping[str, Any]) -> None:
    """Best sellers of the shop, of each country and of each category. terms: set_id, as_of."""
    lists = {"half_life_days": HALF_LIFE_DAYS, "list_length": LIST_LENGTH}
    cursor.execute(_BEST_SELLERS, {**terms, **lists})


def neighbours_make(cursor: CursorWrapper, terms: Mapping[str, Any]) -> None:
    """What is bought by the same people. terms: set_id, as_of."""
    pairs = {"neighbours": NEIGHBOURS, "person_items": PERSON_ITEMS, "pair_buyers": PAIR_BUYERS}
    cursor.execute(_NEIGHBOURS, {**terms, **pairs})
