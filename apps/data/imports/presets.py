"""Mappings for the files that well-known tools export. Each is data such as a mapping file of one's own holds."""

from typing import Any

from apps.foundation.core.errors import Invalid

from .mapping import Mapping, mapping_parse

_SHOPIFY_PROFILES: dict[str, Any] = {
    # Shopify admin, Customers, Export: https://help.shopify.com/en/manual/customers/import-export-customers
    "source": "shopify",
    "columns": {
        "external_id": ["Customer ID"],
        "email": ["Email"],
        "phone": ["Phone", "Default Address Phone"],
        "first_name": ["First Name"],
        "last_name": ["Last Name"],
        "country": ["Default Address Country Code", "Country Code", "Country"],
    },
    "optional": ["external_id", "phone", "first_name", "last_name", "country", "attributes"],
    "attributes": {"city": "Default Address City", "tags": "Tags"},
}

_SHOPIFY_ORDERS: dict[str, Any] = {
    # Shopify admin, Orders, Export: https://help.shopify.com/en/manual/orders/exporting-orders
    # an order's further lines leave blank what its first line said
    "source": "shopify",
    "carry": True,
    "whole_orders": True,
    "columns": {
        "order": ["Name"],
        "placed_at": ["Created at"],
        "currency": ["Currency"],
        "sku": ["Lineitem sku", "Lineitem name"],
        "title": ["Lineitem name"],
        "quantity": ["Lineitem quantity"],
        "unit_price": ["Lineitem price"],
        "email": ["Email"],
        "phone": ["Phone", "Billing Phone"],
        "full_name": ["Billing Name", "Shipping Name"],
        "country": ["Shipping Country", "Billing Country"],
    },
    "optional": ["currency", "phone", "full_name", "country", "cancelled"],
    "cancelled": [
        {"column": "Cancelled at", "filled": True},
        {"column": "Financial Status", "words": ["voided", "refunded"]},
    ],
    "services": ["gift card*", "shipping*", "tip"],
}

_MAILCHIMP: dict[str, Any] = {
    # Mailchimp, Audience, Export audience, the file of the subscribed. That somebody is in it is no evidence by itself:
    # say who vouches (--grant), or take the time of confirmation (--consent-column CONFIRM_TIME).
    "source": "mailchimp",
    "columns": {
        "external_id": ["EUID"],
        "email": ["Email Address"],
        "phone": ["Phone Number"],
        "first_name": ["First Name"],
        "last_name": ["Last Name"],
        "country": ["CC"],
        "time_zone": ["TIMEZONE"],
        "language": ["Language", "LANGUAGE"],
        "consent_at": ["CONFIRM_TIME", "OPTIN_TIME"],
    },
    "optional": [
        "external_id", "phone", "first_name", "last_name", "country", "time_zone", "language", "consent_at",
        "attributes",
    ],
    "attributes": {"tags": "TAGS", "region": "REGION"},
    "consent_times": ["CONFIRM_TIME", "OPTIN_TIME"],
}  # fmt: skip

_ONLINE_RETAIL: dict[str, Any] = {
    # UCI Online Retail (D. Chen, 2015, https://doi.org/10.24432/C5BW33): a year of a gift shop's invoice lines
    "source": "online-retail",
    "columns": {
        "order": ["InvoiceNo"],
        "placed_at": ["InvoiceDate"],
        "sku": ["StockCode"],
        "title": ["Description"],
        "quantity": ["Quantity"],
        "unit_price": ["UnitPrice"],
        "external_id": ["CustomerID"],
        "country": ["Country"],
    },
    "currency": "GBP",
    "cancelled": [{"column": "InvoiceNo", "starts_with": "C"}],
    "services": [
        "POST", "D", "M", "B", "S", "DOT", "C2", "PADS", "CRUK", "BANK CHARGES", "AMAZONFEE", "gift_*", "ADJUST*",
    ],
}  # fmt: skip

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "shopify": {"profiles": _SHOPIFY_PROFILES, "orders": _SHOPIFY_ORDERS},
    "mailchimp": {"profiles": _MAILCHIMP},
    "online-retail": {"orders": _ONLINE_RETAIL},
}
"""By name, then by the kind of import."""


def preset_data(name: str, *, kind: str) -> dict[str, Any]:
    """A preset as plain data. Raises Invalid (`preset_unknown`)."""
    by_kind = PRESETS.get(name)
    if by_kind is None:
        raise Invalid("preset_unknown", f"There is no preset {name!r}: choose one of {', '.join(PRESETS)}")
    if kind not in by_kind:
        raise Invalid("preset_unknown", f"The preset {name!r} is for {' and '.join(by_kind)}, not for {kind}")
    return by_kind[kind]


def preset_mapping(name: str, *, kind: str, **settings: object) -> Mapping:
    """The mapping of a preset, with settings put in its place. Raises Invalid."""
    return mapping_parse({**preset_data(name, kind=kind), **settings}, kind=kind)
