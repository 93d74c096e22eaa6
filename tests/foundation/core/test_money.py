"""Prices as people read them."""

from decimal import Decimal

import pytest

from apps.foundation.core.money import price_text


@pytest.mark.parametrize(
    ("price", "currency", "text"),
    [
        ("4.25", "GBP", "£4.25"),
        ("4.2500", "EUR", "€4.25"),
        ("1234.5", "USD", "$1,234.50"),
        ("4.255", "GBP", "£4.26"),
        ("12.5", "CHF", "12.50 CHF"),
        ("1200", "JPY", "1,200 JPY"),
        ("3", "", "3.00"),
        (None, "GBP", ""),
    ],
)
def test_prices_read_the_same_everywhere(price: str | None, currency: str, text: str) -> None:
    assert price_text(None if price is None else Decimal(price), currency) == text
