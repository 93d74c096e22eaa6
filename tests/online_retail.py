"""The real orders of ../shared/data, loaded plainly: for tests of what reads orders, not of the import."""

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from apps.foundation.core.postgres import copy_rows

FILE = Path(__file__).parents[2] / "shared" / "data" / "online_retail.csv.gz"
needs_online_retail = pytest.mark.skipif(not FILE.exists(), reason="needs ../shared/data/online_retail.csv.gz")

_COUNTRIES = {"United Kingdom": "GB", "EIRE": "IE", "Germany": "DE", "France": "FR", "Spain": "ES", "Netherlands": "NL"}
_FEES = {"POST", "DOT", "M", "BANK CHARGES", "C2", "CRUK", "PADS", "D", "AMAZONFEE"}
_EPOCH = datetime(2011, 12, 9, tzinfo=UTC)


def _lines() -> Iterator[list[str]]:
    with gzip.open(FILE, "rb") as packed:
        rows = csv.reader(TextIOWrapper(packed, encoding="utf-8"))
        next(rows)
        yield from rows


def _columns(names: str) -> list[str]:
    return names.split()


def online_retail_load(*, with_lines: bool) -> None:
    """Profiles, items and orders of customers who are known; the ids count from 1 in the file's order.

    The lines of the orders are nine tenths of the work: only for who needs them.
    """
    profiles: dict[str, tuple[Any, ...]] = {}
    items: dict[str, list[Any]] = {}
    orders: dict[str, list[Any]] = {}
    lines: list[tuple[Any, ...]] = []
    for number, sku, title, quantity_text, moment, price_text, customer, country_name in _lines():
        if not customer:
            continue
        country = _COUNTRIES.get(country_name, "")
        profiles.setdefault(customer, (len(profiles) + 1, country))
        price, quantity = Decimal(price_text), int(quantity_text)
        item = items.setdefault(sku, [len(items) + 1, sku, "", price, sku.upper() not in _FEES])
        item[2] = title.strip() or item[2]
        cancelled = number.startswith("C")
        bought = not cancelled and quantity > 0 and price > 0
        if number not in orders:
            placed_at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
            status = "cancelled" if cancelled else "other"
            orders[number] = [len(orders) + 1, number, profiles[customer][0], status, placed_at, country, Decimal(0), 0]
        order = orders[number]
        if bought:
            order[3] = "purchase"
            order[6] += quantity * price
        order[7] += 1
        if with_lines:
            lines.append((order[0], order[7], item[0], quantity, price, bought))
    empty: dict[str, Any] = {}
    with connection.cursor() as cursor:
        copy_rows(
            cursor,
            "profiles_profile",
            _columns("id first_name last_name country language time_zone attributes source created_at updated_at"),
            ((key, "", "", country, "", "", empty, "test", _EPOCH, _EPOCH) for key, country in profiles.values()),
        )
        copy_rows(
            cursor,
            "catalog_item",
            _columns("id sku title category price currency url image_url in_stock recommendable created_at updated_at"),
            (
                (key, sku, title, "", price, "GBP", "", "", True, recommendable, _EPOCH, _EPOCH)
                for key, sku, title, price, recommendable in items.values()
            ),
        )
        copy_rows(
            cursor,
            "events_order",
            _columns("id source external_id profile_id status placed_at country currency revenue recorded_at"),
            (
                (key, "test", number, profile, status, placed_at, country, "GBP", revenue, _EPOCH)
                for key, number, profile, status, placed_at, country, revenue, _ in orders.values()
            ),
        )
        for start in range(0, len(lines), 20_000):
            copy_rows(
                cursor,
                "events_orderline",
                ["order_id", "number", "item_id", "quantity", "unit_price", "is_purchase"],
                lines[start : start + 20_000],
            )
        cursor.execute("ANALYZE profiles_profile, catalog_item, events_order, events_orderline")
