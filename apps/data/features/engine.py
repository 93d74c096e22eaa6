"""From single events and orders to values. Pure: the clock is an argument, and any order of the same things gives the
same state.

This is the meaning of the definitions. `sql.py` reads the same from the tallies, set-wise; tests hold the two together.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from .definitions import (
    FEATURES,
    ORDERS,
    Cases,
    DaysSince,
    Feature,
    FeatureValue,
    Ratio,
    RecentItems,
    Tally,
    TopCategory,
)

DAY = timedelta(days=1)
_PLACES = 10_000
"""Amounts have four places, as orders have."""


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, for the engine."""

    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Bought:
    """A purchase order, for the engine. lines: item and its category ("" for none), in the order's own sequence."""

    order_id: int
    at: datetime
    revenue: Decimal
    lines: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DayTally:
    """What happened of one name on one day."""

    number: int
    first: datetime
    last: datetime

    def joined(self, other: "DayTally") -> "DayTally":
        """Both together. Commutative and associative, which is why order does not matter."""
        return DayTally(self.number + other.number, min(self.first, other.first), max(self.last, other.last))


@dataclass(slots=True)
class State:
    """What is kept of one person: tallies by name and day, and orders by number."""

    days: dict[tuple[str, date], DayTally] = field(default_factory=dict)
    orders: dict[int, Bought] = field(default_factory=dict)

    def add(self, things: Iterable[Happened | Bought]) -> None:
        """Take things in. Each is given once: whoever records events sees to that, by their ids."""
        for thing in things:
            if isinstance(thing, Bought):
                self.orders[thing.order_id] = thing
                continue
            key = thing.name, day_of(thing.at)
            tally = DayTally(1, thing.at, thing.at)
            there = self.days.get(key)
            self.days[key] = tally if there is None else there.joined(tally)


def day_of(moment: datetime) -> date:
    """The day of a moment, in UTC."""
    return moment.astimezone(UTC).date()


def window_start(as_of: datetime, days: int) -> datetime:
    """The beginning of a window that ends with the day of `as_of`."""
    day = day_of(as_of) - timedelta(days=days - 1)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def values(state: State, names: Sequence[str], as_of: datetime) -> dict[str, FeatureValue]:
    """The named features of a person at a moment, from what the state holds up to then."""
    return {name: _value(state, FEATURES[name], as_of) for name in names}


def _value(state: State, feature: Feature, as_of: datetime) -> FeatureValue:
    made = feature.of
    found: FeatureValue = None
    if isinstance(made, Tally):
        found = _tally(state, made, as_of)
    elif isinstance(made, DaysSince):
        moment = _tally(state, made.moment, as_of)
        found = max((as_of - moment) // DAY, 0) if isinstance(moment, datetime) else None
    elif isinstance(made, Ratio):
        found = ratio(_whole(_tally(state, made.part, as_of)), _whole(_tally(state, made.whole, as_of)), made)
    elif isinstance(made, TopCategory):
        found = _top_category(state, made, as_of)
    elif isinstance(made, RecentItems):
        found = _recent_items(state, made, as_of)
    elif isinstance(made, Cases):
        found = cases_choose(made, lambda name: _value(state, FEATURES[name], as_of))
    if found is None:
        return list(feature.default) if isinstance(feature.default, list) else feature.default
    return found


def _tally(state: State, tally: Tally, as_of: datetime) -> int | Decimal | datetime | None:
    if tally.of == ORDERS:
        start = window_start(as_of, tally.days) if tally.days is not None else None
        orders = [one for one in state.orders.values() if one.at <= as_of and (start is None or one.at >= start)]
        if not orders:
            return None
        if tally.take == "number":
            return len(orders)
        if tally.take == "revenue":
            return sum((one.revenue for one in orders), Decimal(0))
        return (max if tally.take == "last" else min)(one.at for one in orders)
    last_day = day_of(as_of)
    first_day = date.min if tally.days is None else last_day - timedelta(days=tally.days - 1)
    days = [one for (name, day), one in state.days.items() if name in tally.of and first_day <= day <= last_day]
    if not days:
        return None
    if tally.take == "number":
        return sum(one.number for one in days)
    return max(one.last for one in days) if tally.take == "last" else min(one.first for one in days)


def _whole(value: int | Decimal | datetime | None) -> int:
    """A number or an amount as a whole number: of pieces, or of ten-thousandths."""
    if isinstance(value, Decimal):
        return int(value * _PLACES)
    return value if isinstance(value, int) else 0


def ratio(part: int, whole: int, made: Ratio) -> Decimal | None:
    """`part` for each of `whole`, in whole numbers so that everybody rounds alike."""
    if whole <= 0:
        return None
    found = share(part, whole * _PLACES if made.part.take == "revenue" else whole)
    return found if made.most is None else min(found, Decimal(made.most))


def share(part: int, whole: int) -> Decimal:
    """`part` for each of `whole`, which is above 0, rounded half up to four places."""
    return Decimal((2 * part * _PLACES + whole) // (2 * whole)) / _PLACES


def cases_choose(made: Cases, value_of: Callable[[str], Any]) -> FeatureValue:
    """The value of the first case that holds; None for none. value_of: gives a feature's value by its name."""
    for value, conditions in made.cases:
        for condition in conditions:
            known = value_of(condition.feature)
            if known is None or not (known >= condition.than if condition.op == "gte" else known <= condition.than):
                break
        else:
            return value
    return None


def _top_category(state: State, made: TopCategory, as_of: datetime) -> str | None:
    start = window_start(as_of, made.days)
    lines = Counter(
        category
        for order in state.orders.values()
        if start <= order.at <= as_of
        for _, category in order.lines
        if category
    )
    return min(lines, key=lambda category: (-lines[category], category)) if lines else None


def _recent_items(state: State, made: RecentItems, as_of: datetime) -> list[int] | None:
    orders = sorted((one for one in state.orders.values() if one.at <= as_of), key=lambda one: (one.at, one.order_id))
    lines = [item for order in reversed(orders) for item, _ in order.lines]
    return list(dict.fromkeys(lines[: made.lines])) or None
