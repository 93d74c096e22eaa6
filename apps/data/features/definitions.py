"""What Tessera knows to compute: each feature defined once, and read from here by `engine.py`, `sql.py`, `online.py`.

A definition says *what of* a feature is made, as data. The engine folds it from single events and orders, SQL reads it
from the tallies for a set, the online copy keeps it for a person: three ways to the same value, held together by tests.

Days are those of UTC. A window of 30 days is the day of `as_of` and the 29 before it, so that a value stands still
through a day and can be kept.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

FeatureValue = int | bool | Decimal | datetime | str | list[int] | None
Entity = Literal["profile", "item", "context"]
ORDERS: Final = "orders"


@dataclass(frozen=True, slots=True)
class Tally:
    """What is counted of some events, or of purchase orders (`of` is ORDERS), within so many days (None: ever).

    take: "number" of them; "last" and "first": moments; "revenue" (orders alone): the sum, in the shop's currency.
    """

    of: tuple[str, ...] | Literal["orders"]
    take: Literal["number", "last", "first", "revenue"]
    days: int | None = None


@dataclass(frozen=True, slots=True)
class DaysSince:
    """Whole times of 24 hours between a moment and `as_of`; 0 where it lies ahead."""

    moment: Tally


@dataclass(frozen=True, slots=True)
class Ratio:
    """`part` for each of `whole`, rounded half up to four places, at most `most`. Nothing where `whole` is 0."""

    part: Tally
    whole: Tally
    most: int | None = None


@dataclass(frozen=True, slots=True)
class TopCategory:
    """The category of which most lines were bought; of equals, the one first by code point."""

    days: int


@dataclass(frozen=True, slots=True)
class RecentItems:
    """Ids of the different items of the last so many lines bought, newest order first."""

    lines: int


@dataclass(frozen=True, slots=True)
class Condition:
    """Another feature compared with a number. A feature without a value meets none."""

    feature: str
    op: Literal["gte", "lte"]
    than: int


@dataclass(frozen=True, slots=True)
class Cases:
    """The value of the first case of which all conditions hold, else the feature's default."""

    cases: tuple[tuple[str | bool, tuple[Condition, ...]], ...]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Of an item or of the moment: `entities.py` computes it."""


Made = Tally | DaysSince | Ratio | TopCategory | RecentItems | Cases | Elsewhere


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature.

    kind: what its values are; of: what it is made of; window: days it looks back from `as_of`, None for everything;
    default: the value of somebody of whom nothing is known; lifetime: how long a kept value is used without being
    made again, should news of a change be lost; of_now: that it is made of what is kept as it is now alone, so that
    what it was at a moment past can't be told.
    """

    name: str
    description: str
    kind: Literal["number", "amount", "moment", "text", "flag", "items"]
    of: Made
    default: FeatureValue = None
    window: int | None = None
    owner: str = "data"
    entity: Entity = "profile"
    lifetime: timedelta = timedelta(days=1)
    of_now: bool = False


RECENT_LINES: Final = 60
"""How many lines of orders `recent_items` looks at, newest first."""

OPENED: Final = ("Email Opened",)
CLICKED: Final = ("Email Link Clicked",)
DELIVERED: Final = ("Email Delivered",)
VIEWED: Final = ("Product Viewed",)
CART: Final = ("Cart Updated", "Product Added")
VISITED: Final = ("Page Viewed", *VIEWED, *CART, "Products Searched", "Product List Viewed", "Checkout Started")
"""Names as the unified schemas have them: Segment's e-commerce and e-mail events."""


def _number(name: str, description: str, of: tuple[str, ...] | Literal["orders"], days: int | None = None) -> Feature:
    return Feature(name, description, "number", Tally(of, "number", days), 0, days)


def _since(
    name: str, description: str, of: tuple[str, ...] | Literal["orders"], take: Literal["last", "first"] = "last"
) -> Feature:
    return Feature(name, description, "number", DaysSince(Tally(of, take)))


_PROFILE: tuple[Feature, ...] = (
    _number("orders_count", "Purchase orders placed so far.", ORDERS),
    Feature("first_order_at", "When the first purchase order was placed.", "moment", Tally(ORDERS, "first")),
    Feature("last_order_at", "When the newest purchase order was placed.", "moment", Tally(ORDERS, "last")),
    _since("days_since_last_order", "Whole days since the newest purchase order.", ORDERS),
    _since("days_since_first_order", "Whole days since the first purchase order.", ORDERS, "first"),
    _number("purchase_count_30d", "Purchase orders of the last 30 days.", ORDERS, 30),
    _number("purchase_count_90d", "Purchase orders of the last 90 days.", ORDERS, 90),
    _number("purchase_count_365d", "Purchase orders of the last 365 days.", ORDERS, 365),
    Feature(
        "lifetime_value",
        "Revenue of all purchase orders, in the currency of the shop; currencies are not converted.",
        "amount",
        Tally(ORDERS, "revenue"),
        Decimal(0),
    ),
    Feature(
        "revenue_365d",
        "Revenue of the purchase orders of the last 365 days.",
        "amount",
        Tally(ORDERS, "revenue", 365),
        Decimal(0),
        365,
    ),
    Feature(
        "average_order_value",
        "Revenue for each purchase order.",
        "amount",
        Ratio(Tally(ORDERS, "revenue"), Tally(ORDERS, "number")),
        Decimal(0),
    ),
    Feature("top_category", "The category of which most lines were bought.", "text", TopCategory(730), "", 730),
    Feature("recent_items", "Items of the last lines bought, newest first.", "items", RecentItems(RECENT_LINES), []),
    _since("days_since_last_click", "Whole days since a link in a message was last clicked.", CLICKED),
    _since("days_since_last_open", "Whole days since a message was last opened.", OPENED),
    _number("clicks_30d", "Clicks on links in messages of the last 30 days.", CLICKED, 30),
    _number("opens_30d", "Messages opened in the last 30 days.", OPENED, 30),
    Feature(
        "avg_open_rate",
        "Opens for each message delivered in the last 90 days, at most 1.",
        "amount",
        Ratio(Tally(OPENED, "number", 90), Tally(DELIVERED, "number", 90), most=1),
        Decimal(0),
        90,
    ),
    _number("product_views_7d", "Products looked at in the last 7 days.", VIEWED, 7),
    _number("product_views_30d", "Products looked at in the last 30 days.", VIEWED, 30),
    _number("cart_changes_7d", "Changes of the cart in the last 7 days.", CART, 7),
    _since("days_since_last_cart", "Whole days since the cart was last changed.", CART),
    _since("days_since_last_visit", "Whole days since the shop was last visited, as far as it tells.", VISITED),
    Feature(
        "lifecycle_stage",
        "Where somebody stands as a customer: prospect, new, active, lapsing or lapsed.",
        "text",
        Cases(
            (
                ("prospect", (Condition("orders_count", "lte", 0),)),
                ("new", (Condition("orders_count", "lte", 1), Condition("days_since_last_order", "lte", 30))),
                ("active", (Condition("days_since_last_order", "lte", 90),)),
                ("lapsing", (Condition("days_since_last_order", "lte", 180),)),
            )
        ),
        "lapsed",
    ),
    Feature(
        "is_power_user",
        "Whether somebody bought at least six times within 365 days, the last time within 90.",
        "flag",
        Cases(((True, (Condition("purchase_count_365d", "gte", 6), Condition("days_since_last_order", "lte", 90))),)),
        default=False,
        window=365,
    ),
)
FEATURES: dict[str, Feature] = {feature.name: feature for feature in _PROFILE}
"""Of people, by name."""


def _item(
    name: str, description: str, kind: Literal["number", "amount"], default: FeatureValue, *, of_now: bool = False
) -> Feature:
    return Feature(
        name, description, kind, Elsewhere(), default, entity="item", lifetime=timedelta(hours=1), of_now=of_now
    )


ITEM_FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        _item(
            "price_bucket",
            "The fifth of its currency's prices that the price lies in: 1 (lowest) to 5.",
            "number",
            0,
            of_now=True,
        ),
        _item(
            "popularity", "Orders that hold it, each half as much for every 7 days it is older.", "amount", Decimal(0)
        ),
        _item("margin", "What of its price is left to the shop, as a share of it.", "amount", None, of_now=True),
        _item("freshness_days", "Whole days since it came into the catalog.", "number", None),
    )
}
"""Of items, by name."""


def _context(name: str, description: str) -> Feature:
    return Feature(name, description, "number", Elsewhere(), entity="context", lifetime=timedelta(0))


CONTEXT_FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        _context("hour", "The hour where the person is, 0 to 23."),
        _context("weekday", "The day of the week where the person is, 1 (Monday) to 7."),
        _context("active_promotions", "Promotions that hold in the person's country, and had been told by then."),
    )
}
"""Of the moment, by name."""


def tallies_of(feature: Feature) -> tuple[Tally, ...]:
    """The tallies that a feature is made of, directly or through others."""
    made = feature.of
    if isinstance(made, Tally):
        return (made,)
    if isinstance(made, DaysSince):
        return (made.moment,)
    if isinstance(made, Ratio):
        return (made.part, made.whole)
    if isinstance(made, Cases):
        names = dict.fromkeys(condition.feature for _, conditions in made.cases for condition in conditions)
        return tuple(dict.fromkeys(tally for name in names for tally in tallies_of(FEATURES[name])))
    return ()


EVENT_NAMES: tuple[str, ...] = tuple(
    dict.fromkeys(name for one in _PROFILE for tally in tallies_of(one) if tally.of != ORDERS for name in tally.of)
)
"""The events that any feature is made of."""
