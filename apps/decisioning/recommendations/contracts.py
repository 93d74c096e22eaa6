"""What recommendations take and give. No Django."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypedDict


class ItemCard(TypedDict):
    """An item as a message shows it. price: formatted, such as "£4.25"; price, url, image_url: "" where not known."""

    sku: str
    title: str
    price: str
    url: str
    image_url: str


OUT_OF_STOCK = "out_of_stock"
NOT_OFFERED = "not_offered"
"""Why an item can't be shown: it is sold out; it is not to be recommended, or has no title."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item that could be shown. gone: why it can't be, "" where it can; item: its id in the catalog; mark: a digest
    of all the rest."""

    card: ItemCard
    category: str = ""
    gone: str = ""
    item: int = field(default=0, compare=False)
    mark: bytes = field(default=b"", compare=False)


@dataclass(frozen=True, slots=True)
class PersonTaste:
    """What is known of a person's taste. recent_items: ids of the items last bought, newest first."""

    country: str = ""
    top_category: str = ""
    recent_items: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownAt:
    """Where and when items are shown. brand, placement: their codes, "" where not known; at: None for no moment, at
    which everything is valid."""

    brand: str = ""
    placement: str = ""
    at: datetime | None = None


ANYWHERE: Final = ShownAt()
