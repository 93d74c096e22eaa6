"""Prices as people read them."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Final

_SIGNS: Final = {"GBP": "£", "EUR": "€", "USD": "$"}
_WITHOUT_MINOR: Final = frozenset({"JPY", "KRW", "ISK", "CLP", "VND", "XAF", "XOF"})


def price_text(price: Decimal | None, currency: str) -> str:
    """A price for people, the same in every locale: "£4.25", "$1,200.00", "12.50 CHF"; "" where none is known."""
    if price is None:
        return ""
    step = Decimal(1) if currency in _WITHOUT_MINOR else Decimal("0.01")
    text = f"{price.quantize(step, ROUND_HALF_UP):,}"
    if currency in _SIGNS:
        return f"{_SIGNS[currency]}{text}"
    return f"{text} {currency}".strip()
