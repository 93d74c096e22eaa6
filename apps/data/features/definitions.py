"""What Tessera knows to compute about a person: each feature defined once."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

FeatureValue = int | Decimal | datetime | str | list[int] | None


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature.

    window: how far back from `as_of` it looks, None for everything; default: the value of somebody of whom nothing
    is known; lifetime: how old a kept value may be when it is used.
    """

    name: str
    owner: str
    entity: Literal["profile"]
    window: timedelta | None
    default: FeatureValue
    lifetime: timedelta
    description: str


RECENT_LINES = 60
"""How many lines of orders `recent_items` looks at, newest first."""

_QUARTER_HOUR = timedelta(minutes=15)

FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature(
            "orders_count",
            "data",
            "profile",
            None,
            0,
            _QUARTER_HOUR,
            "Purchase orders placed so far.",
        ),
        Feature(
            "last_order_at",
            "data",
            "profile",
            None,
            None,
            _QUARTER_HOUR,
            "When the newest purchase order was placed.",
        ),
        Feature(
            "days_since_last_order",
            "data",
            "profile",
            None,
            None,
            _QUARTER_HOUR,
            "Whole days between the newest purchase order and `as_of`.",
        ),
        Feature(
            "lifetime_value",
            "data",
            "profile",
            None,
            Decimal(0),
            _QUARTER_HOUR,
            "Revenue of all purchase orders, in the currency of the shop; currencies are not converted.",
        ),
        Feature(
            "top_category",
            "data",
            "profile",
            timedelta(days=730),
            "",
            _QUARTER_HOUR,
            "The category of which most lines were bought; of equals, the one first in the alphabet.",
        ),
        Feature(
            "recent_items",
            "data",
            "profile",
            None,
            [],
            _QUARTER_HOUR,
            f"Ids of the different items of the last {RECENT_LINES} lines bought, newest order first.",
        ),
    )
}
