"""What other systems tell, read out of their own forms. Plain data."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class Who:
    """By what a person is known there, as it was told: `number` is a customer number of that system."""

    number: str = ""
    email: str = ""
    phone: str = ""
    first_name: str = ""
    last_name: str = ""

    @property
    def nobody(self) -> bool:
        """Whether nothing tells who it is."""
        return not (self.number or self.email or self.phone)


@dataclass(frozen=True, slots=True)
class Bought:
    """One line of an order or cart."""

    sku: str
    title: str
    quantity: int
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class OrderSaid:
    """An order as it is now. changed_at: by the shop's clock."""

    number: str
    who: Who
    changed_at: datetime
    placed_at: datetime
    cancelled: bool
    paid: bool
    country: str
    currency: str
    lines: tuple[Bought, ...]


@dataclass(frozen=True, slots=True)
class CartSaid:
    """A cart as it is now."""

    number: str
    who: Who
    changed_at: datetime
    currency: str
    lines: tuple[Bought, ...]


@dataclass(frozen=True, slots=True)
class TicketSaid:
    """A ticket of a help desk: open or closed."""

    number: str
    who: Who
    changed_at: datetime
    is_open: bool


@dataclass(frozen=True, slots=True)
class PersonSaid:
    """What a system knows of a person."""

    number: str
    who: Who
    changed_at: datetime
    fields: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ItemSaid:
    """What a shop says of something that it sells. fields: of an item, those that it names."""

    number: str
    changed_at: datetime
    fields: dict[str, Any] = field(default_factory=dict)


Said = OrderSaid | CartSaid | TicketSaid | PersonSaid | ItemSaid
