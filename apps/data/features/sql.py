"""Features as SQL over the tallies and orders, for a set of people or for some: the definitions, read set-wise.

Names of events and ids are parameters; every name in the SQL is our own. Each table that the features need is joined
once, grouped by profile, whatever their number.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from math import ceil, floor
from typing import Any, Final, Literal

from .definitions import FEATURES, ORDERS, Cases, DaysSince, Feature, Ratio, RecentItems, Tally, TopCategory
from .engine import DAY, day_of, window_start

_KINDS = {"number": "bigint", "amount": "numeric", "moment": "timestamptz", "text": "text", "flag": "boolean"}


@dataclass(frozen=True)
class Piece:
    """A piece of SQL with `%s` placeholders, and their values in order."""

    text: str
    params: tuple[Any, ...] = ()


@lru_cache(maxsize=10_000)
def name_id(name: str) -> int:
    """The number under which an event's name is tallied: the first 8 bytes of its SHA-256, so that none is looked up.

    Of ten thousand names, two meet with a chance of 1 in 10^11.
    """
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big", signed=True)


GROUPED: Final = "t.profile_id + 0"
"""By what rows of a table `t` are grouped for each person. By the bare column, the planner walks the index in the order
of people and fetches each row from another page; by a term it reads the table once, and hashes."""

# Of somebody with events of a later day than is asked about (a moment past, a clock ahead of ours) the days are added.
# Looked at once for each person, not for each row.
_TALLY = """
LEFT JOIN (
    SELECT g.profile_id, {columns}
    FROM (SELECT {person} AS profile_id, {grouped}
          FROM features_eventtally t WHERE t.name_id = ANY(%s) {ids} {group}) g
) tally ON tally.profile_id = {profile}"""
_BEFORE = (
    "CASE WHEN g.{last} >= %s THEN (SELECT {what} FROM features_eventday d WHERE d.profile_id = g.profile_id"
    " AND d.name_id = ANY(%s) AND d.day <= %s) ELSE g.{column} END AS {column}"
)
# The same by a function, where one row is one person's: several processes share the count then. Where rows are grouped,
# each of them would group all.
_BEFORE_ONCE = (
    "CASE WHEN g.{last} >= %s THEN features_{take}_until(g.profile_id, %s::bigint[], %s) ELSE g.{column} END"
    " AS {column}"
)
_DAYS = """
LEFT JOIN (
    SELECT {grouped} AS profile_id, {columns} FROM features_eventday t
    WHERE t.name_id = ANY(%s) AND t.day >= %s {ids}
    GROUP BY {grouped}
) days ON days.profile_id = {profile}"""
_ORDERS = """
LEFT JOIN (
    SELECT {grouped} AS profile_id, {columns} FROM events_order t
    WHERE t.status = 'purchase' AND t.profile_id IS NOT NULL {ids}
    GROUP BY {grouped}
) orders ON orders.profile_id = {profile}"""
_TOP = """
LEFT JOIN (
    SELECT DISTINCT ON (t.profile_id) t.profile_id, i.category
    FROM events_order t
    JOIN events_orderline l ON l.order_id = t.id AND l.is_purchase
    JOIN catalog_item i ON i.id = l.item_id AND i.category <> ''
    WHERE t.status = 'purchase' AND t.placed_at <= %s AND t.placed_at >= %s {ids}
    GROUP BY t.profile_id, i.category
    ORDER BY t.profile_id, count(*) DESC, i.category COLLATE "C"
) top{days} ON top{days}.profile_id = {profile}"""
# Along the index, newest order first, and only as many lines as are needed: a wholesaler costs no more than others.
_RECENT = """
LEFT JOIN LATERAL (
    SELECT array_agg(lines.item_id) AS item_ids
    FROM (
        SELECT l.item_id
        FROM (
            SELECT t.id, t.placed_at
            FROM events_order t
            WHERE t.profile_id = {profile} AND t.status = 'purchase' AND t.placed_at <= %s
            ORDER BY t.placed_at DESC, t.id DESC
            LIMIT %s
        ) t
        JOIN events_orderline l ON l.order_id = t.id AND l.is_purchase
        ORDER BY t.placed_at DESC, t.id DESC, l.number
        LIMIT %s
    ) lines
) recent ON TRUE"""


@dataclass
class FeatureSql:
    """The joins that some features need, and the columns that say their values. `profile` is the SQL of a profile's id.

    profile_ids: of whom alone, None for a set. Ask for columns first, then for the joins.
    """

    as_of: datetime
    profile: str
    profile_ids: Sequence[int] | None = None
    _tallies: dict[Tally, str] = field(default_factory=dict)
    _ends: dict[Tally, str] = field(default_factory=dict)
    _next: bool = False
    _top: dict[TopCategory, str] = field(default_factory=dict)
    _recent: RecentItems | None = None

    def column(self, name: str) -> Piece:
        """The value of a feature, with its default; of a kind that `recent_items` alone is not: comparable."""
        feature = FEATURES[name]
        made = self._made(feature)
        if feature.default is None or feature.kind == "items":
            return made
        return Piece(f"COALESCE({made.text}, %s::{_KINDS[feature.kind]})", (*made.params, feature.default))

    def compared(self, name: str, op: Literal["gte", "lte"], than: Any) -> Piece:
        """Whether a feature is at least or at most so much; NULL or false where it has no value."""
        feature = FEATURES[name]
        if isinstance(feature.of, DaysSince) and feature.default is None:
            return self._since(self.tally(feature.of.moment), op, than)
        column = self.column(name)
        return Piece(f"({column.text} {'>=' if op == 'gte' else '<='} %s)", (*column.params, than))

    def _since(self, moment: str, op: Literal["gte", "lte"], than: int | Decimal) -> Piece:
        """Days since a moment compared, as the moment compared: nothing is computed of a row."""
        as_of = self.as_of.astimezone(UTC)
        known = Piece(f"({moment} IS NOT NULL)")
        try:
            if op == "gte":
                return Piece(f"({moment} <= %s)", (as_of - ceil(than) * DAY,)) if than > 0 else known
            return Piece(f"({moment} > %s)", (as_of - (floor(than) + 1) * DAY,)) if than >= 0 else Piece("FALSE")
        except OverflowError:  # longer ago than there are moments
            return Piece("FALSE") if op == "gte" else known

    def _made(self, feature: Feature) -> Piece:
        made = feature.of
        if isinstance(made, Tally):
            return Piece(self.tally(made))
        if isinstance(made, DaysSince):
            moment = self.tally(made.moment)
            days = f"floor(extract(epoch FROM %s::timestamptz - {moment}) / 86400)::bigint"
            return Piece(f"(CASE WHEN {moment} IS NOT NULL THEN GREATEST({days}, 0) END)", (self.as_of,))
        if isinstance(made, Ratio):
            return Piece(self._ratio(made))
        if isinstance(made, TopCategory):
            return Piece(self.top_category(made))
        if isinstance(made, RecentItems):
            return Piece(self.recent_items(made))
        if isinstance(made, Cases):
            return self._cases(made, _KINDS[feature.kind])
        raise AssertionError(f"{feature.name} is not of a person")

    def tally(self, tally: Tally) -> str:
        """The column of a tally: NULL where there is nothing."""
        if tally not in self._tallies:
            kind = "orders" if tally.of == ORDERS else "tally" if tally.days is None else "days"
            self._tallies[tally] = f"{kind}.c{len(self._tallies)}"
        return self._tallies[tally]

    def top_category(self, made: TopCategory) -> str:
        self._top[made] = f"top{made.days}.category"
        return self._top[made]

    def recent_items(self, made: RecentItems) -> str:
        self._recent = made
        return "recent.item_ids"

    def until(self) -> str:
        """When a value of the windowed columns asked for changes by itself; NULL for never. Ask for it last."""
        self._next = True
        for tally in [one for one in self._tallies if one.days is not None]:
            self._ends[tally] = f"{self._tallies[tally]}_end"
        for made in self._top:
            oldest = Tally(ORDERS, "first", made.days)
            self._ends[oldest] = f"{self.tally(oldest)}_end"
        ends = [*self._ends.values()]
        ends += ["orders.next"] if any(tally.of == ORDERS for tally in self._tallies) else []
        of_events = [tally for tally in self._tallies if tally.of != ORDERS]
        ends += ["days.next"] if any(tally.days is not None for tally in of_events) else []
        ends += ["tally.next"] if any(tally.days is None for tally in of_events) else []
        return f"LEAST({', '.join(ends)})" if ends else "NULL::timestamptz"

    def _ratio(self, made: Ratio) -> str:
        part, whole = self.tally(made.part), self.tally(made.whole)
        text = f"div(2 * 10000 * {part}::numeric + {whole}, 2 * {whole}::numeric)"
        if made.part.take != "revenue":
            text = f"div(2 * 10000 * COALESCE({part}, 0)::numeric + {whole}, 2 * {whole}::numeric)"
        if made.most is not None:
            text = f"LEAST({text}, {made.most * 10_000})"
        return f"(CASE WHEN {whole} > 0 THEN ({text} / 10000)::numeric(24, 4) END)"

    def _cases(self, made: Cases, kind: str) -> Piece:
        text: list[str] = []
        params: list[Any] = []
        for value, conditions in made.cases:
            parts = []
            for condition in conditions:
                compared = self.compared(condition.feature, condition.op, condition.than)
                parts.append(compared.text)
                params += compared.params
            text.append(f"WHEN {' AND '.join(parts)} THEN %s::{kind}")
            params.append(value)
        return Piece(f"(CASE {' '.join(text)} END)", tuple(params))

    def joins(self) -> list[Piece]:
        """What to put behind FROM, after all columns were asked for."""
        ids = (
            Piece("AND t.profile_id = ANY(%s)", (list(self.profile_ids),))
            if self.profile_ids is not None
            else Piece("")
        )
        found: list[Piece] = []
        of_orders = {tally: text for tally, text in self._tallies.items() if tally.of == ORDERS}
        ever = {tally: text for tally, text in self._tallies.items() if tally.of != ORDERS and tally.days is None}
        windowed = {tally: text for tally, text in self._tallies.items() if tally.of != ORDERS and tally.days}
        if ever:
            found.append(self._tally_join(ever, ids))
        if windowed:
            found.append(self._days_join(windowed, ids))
        if of_orders:
            found.append(self._orders_join(of_orders, ids))
        for made in self._top:
            text = _TOP.format(days=made.days, ids=ids.text, profile=self.profile)
            found.append(Piece(text, (self.as_of, window_start(self.as_of, made.days), *ids.params)))
        if self._recent is not None:
            lines = self._recent.lines
            found.append(Piece(_RECENT.format(profile=self.profile), (self.as_of, lines, lines)))
        return found

    def _tally_join(self, tallies: dict[Tally, str], ids: Piece) -> Piece:
        names = _ids_of(tallies)
        once = len(names) == 1  # there is one row for a person already
        of_all = {"number": "{}(t.number)", "last": "{}(t.last_at)", "first": "{}(t.first_at)"}
        adds = {"number": "sum", "last": "max", "first": "min"}
        of_days = {"number": "sum(d.number)", "last": "max(d.last_at)"}
        end, day = window_start(self.as_of, 1) + timedelta(days=1), day_of(self.as_of)
        columns: list[str] = []
        grouped: list[str] = []
        outer: list[Any] = []
        inner: list[Any] = []

        def group(take: str, some: list[int], name: str) -> None:
            within = " FILTER (WHERE t.name_id = ANY(%s))" if some != names else ""
            grouped.append(of_all[take].format("" if once else adds[take]) + f"{within} AS {name}")
            inner.extend([some] if within else [])

        for tally, text in tallies.items():
            column, some = _own(text), _ids_of([tally])
            group(tally.take, some, column)
            if tally.take == "first":
                columns.append(f"CASE WHEN g.{column} < %s THEN g.{column} END AS {column}")
                outer.append(end)
                continue
            last = column
            if tally.take != "last":
                last = f"{column}_last"
                group("last", some, last)
            before = _BEFORE_ONCE if once else _BEFORE
            columns.append(before.format(last=last, column=column, what=of_days[tally.take], take=tally.take))
            outer += [end, some, day]
        if self._next:
            group("last", names, "newest")
            columns.append("CASE WHEN g.newest >= %s THEN %s::timestamptz END AS next")
            outer += [end, end]
        text = _TALLY.format(
            columns=", ".join(columns),
            person="t.profile_id" if once else GROUPED,
            grouped=", ".join(grouped),
            ids=ids.text,
            group="" if once else f"GROUP BY {GROUPED}",
            profile=self.profile,
        )
        return Piece(text, (*outer, *inner, names, *ids.params))

    def _days_join(self, tallies: dict[Tally, str], ids: Piece) -> Piece:
        what = {"number": "sum(t.number)", "last": "max(t.last_at)", "first": "min(t.first_at)"}
        today = day_of(self.as_of)
        columns: list[str] = []
        params: list[Any] = []
        for tally, text in tallies.items():
            first = today - timedelta(days=(tally.days or 1) - 1)
            within = "FILTER (WHERE t.name_id = ANY(%s) AND t.day BETWEEN %s AND %s)"
            columns.append(f"{what[tally.take]} {within}{_bigint(tally)} AS {_own(text)}")
            params += [_ids_of([tally]), first, today]
            if tally in self._ends:
                end = f"(min(t.day) {within} + {tally.days})::timestamp AT TIME ZONE 'UTC'"
                columns.append(f"{end} AS {_own(text)}_end")
                params += [_ids_of([tally]), first, today]
        if self._next:
            columns.append("min(t.day) FILTER (WHERE t.day > %s)::timestamp AT TIME ZONE 'UTC' AS next")
            params.append(today)
        oldest = today - timedelta(days=max(tally.days or 1 for tally in tallies) - 1)
        text = _DAYS.format(grouped=GROUPED, columns=", ".join(columns), ids=ids.text, profile=self.profile)
        return Piece(text, (*params, _ids_of(tallies), oldest, *ids.params))

    def _orders_join(self, tallies: dict[Tally, str], ids: Piece) -> Piece:
        what = {
            "number": "count(*)",
            "last": "max(t.placed_at)",
            "first": "min(t.placed_at)",
            "revenue": "sum(t.revenue)",
        }
        columns: list[str] = []
        params: list[Any] = []
        for tally, text in tallies.items():
            within = "t.placed_at <= %s"
            moments: tuple[datetime, ...] = (self.as_of,)
            if tally.days is not None:
                within += " AND t.placed_at >= %s"
                moments += (window_start(self.as_of, tally.days),)
            columns.append(
                f"NULLIF({what[tally.take]} FILTER (WHERE {within}), 0) AS {_own(text)}"
                if tally.take == "number"
                else f"{what[tally.take]} FILTER (WHERE {within}) AS {_own(text)}"
            )
            params += moments
            if tally in self._ends:
                day = f"date_trunc('day', min(t.placed_at) FILTER (WHERE {within}), 'UTC')"
                columns.append(f"{day} + interval '{(tally.days or 0) * 24} hours' AS {_own(text)}_end")
                params += moments
        if self._next:
            columns.append("min(t.placed_at) FILTER (WHERE t.placed_at > %s) AS next")
            params.append(self.as_of)
        text = _ORDERS.format(grouped=GROUPED, columns=", ".join(columns), ids=ids.text, profile=self.profile)
        return Piece(text, (*params, *ids.params))


def _ids_of(tallies: Iterable[Tally]) -> list[int]:
    return sorted({name_id(name) for tally in tallies for name in tally.of})


def _own(text: str) -> str:
    """The name of a column without that of its join."""
    return text.partition(".")[2]


def _bigint(tally: Tally) -> str:
    return "::bigint" if tally.take == "number" else ""
