"""What the generator makes: rows of the database's tables, but for their keys. People and items go by their index."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

SHOP_URL = "https://shop.example"
CURRENCY = "EUR"


class Customer(NamedTuple):
    """A row of profiles, and what else the generator knows: its country as it is in truth, and its address."""

    first_name: str
    last_name: str
    country: str
    language: str
    time_zone: str
    attributes: dict[str, str]
    created_at: datetime
    home: str
    email: str


class Contact(NamedTuple):
    """A row of identifiers, of the customer at index `who`."""

    who: int
    kind: str
    value: str
    verified: bool
    main: bool
    created_at: datetime


class Goods(NamedTuple):
    """A row of items; `cents` is the price."""

    sku: str
    title: str
    category: str
    cents: int
    in_stock: bool
    recommendable: bool
    url: str


class Line(NamedTuple):
    """A row of order lines; `goods` is the index of the item."""

    goods: int
    quantity: int
    cents: int
    is_purchase: bool


class Sale(NamedTuple):
    """A row of orders, with its lines. `who` is None for a guest."""

    number: str
    who: int | None
    status: str
    placed_at: datetime
    country: str
    lines: list[Line]

    @property
    def cents(self) -> int:
        """The sum of its purchase lines."""
        return sum(line.quantity * line.cents for line in self.lines if line.is_purchase)


class Happening(NamedTuple):
    """A row of events, but for its message id: that is counted when all are in order."""

    occurred_at: datetime
    who: int | None
    name: str
    properties: dict[str, Any]


class GrantKind(NamedTuple):
    """What a set of first grants has in common."""

    purpose: str
    channel: str
    method: str
    source: str
    evidence: str


class Change(NamedTuple):
    """A later word of a customer on one purpose."""

    occurred_at: datetime
    who: int
    purpose: str
    channel: str
    action: str
    method: str
    source: str


class Suppressed(NamedTuple):
    """An address that gets nothing any more."""

    email: str
    reason: str
    note: str


@dataclass(frozen=True, slots=True)
class SampleShop:
    """Everything the generator makes, in the order in which it is written."""

    customers: list[Customer] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)
    goods: list[Goods] = field(default_factory=list)
    sales: list[Sale] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)
    grants: dict[GrantKind, list[tuple[int, datetime]]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    suppressed: list[Suppressed] = field(default_factory=list)

    def digest(self) -> str:
        """SHA-256 over all of it, in hex."""
        everything = [
            self.customers,
            self.contacts,
            self.goods,
            self.sales,
            self.happenings,
            [[kind, people] for kind, people in self.grants.items()],
            self.changes,
            self.suppressed,
        ]
        return hashlib.sha256(json.dumps(everything, default=str).encode()).hexdigest()
