"""Reading shops' and help desks' own forms, and mappings that can't be meant."""

import hmac
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.data.inbound.bodies import mapped_read, shopify_read, woocommerce_read
from apps.data.inbound.contracts import Bought, CartSaid, OrderSaid, TicketSaid, Who
from apps.data.inbound.signatures import signature_is_right
from apps.foundation.core.errors import Invalid
from config.inbound import inbound_systems_read

SHOPIFY_ORDER: dict[str, Any] = {
    "id": 820982911946154508,
    "email": "zoe@example.com",
    "created_at": "2026-11-20T10:00:00+01:00",
    "updated_at": "2026-11-20T10:05:00+01:00",
    "cancelled_at": None,
    "financial_status": "paid",
    "currency": "EUR",
    "customer": {"id": 115310627314723954, "first_name": "Zoë", "last_name": "Huber", "phone": "+436601234567"},
    "shipping_address": {"country_code": "AT"},
    "line_items": [
        {"sku": "T1", "title": "Tea", "quantity": 2, "price": "9.90"},
        {"sku": "", "variant_id": 49148385, "title": "Pot", "quantity": 1, "price": "25.00"},
    ],
}
WOO_ORDER: dict[str, Any] = {
    "id": 727,
    "status": "processing",
    "currency": "EUR",
    "date_created_gmt": "2026-11-20T09:00:00",
    "date_modified_gmt": "2026-11-20T09:10:00",
    "customer_id": 0,
    "billing": {"first_name": "Zoë", "email": "zoe@example.com", "phone": "0660 1234567", "country": "AT"},
    "line_items": [{"sku": "T1", "product_id": 93, "name": "Tea", "quantity": 2, "price": 9.9}],
}
ZENDESK: dict[str, Any] = {
    "what": "tickets",
    "number": "ticket.id",
    "at": "ticket.updated_at",
    "email": "ticket.requester.email",
    "state": "ticket.status",
    "closed": ["solved", "closed"],
}
SECRET = "a-secret-of-theirs"


def test_an_order_of_shopify() -> None:
    said = shopify_read("orders/updated", SHOPIFY_ORDER)

    assert isinstance(said, OrderSaid)
    assert said.who == Who("115310627314723954", "zoe@example.com", "+436601234567", "Zoë", "Huber")
    assert (said.number, said.cancelled, said.paid, said.country) == ("820982911946154508", False, True, "AT")
    assert said.changed_at == datetime(2026, 11, 20, 9, 5, tzinfo=UTC)
    assert said.lines == (Bought("T1", "Tea", 2, Decimal("9.90")), Bought("49148385", "Pot", 1, Decimal("25.00")))
    void = shopify_read("orders/updated", {**SHOPIFY_ORDER, "financial_status": "voided"})
    assert isinstance(void, OrderSaid)
    assert (void.cancelled, void.paid) == (True, False)


def test_a_cart_of_shopify_and_what_says_nothing_here() -> None:
    cart = shopify_read(
        "carts/update",
        {"token": "eeafa272cebfd4b2", "line_items": [], "updated_at": "2026-11-20T09:00:00.000Z", "note": None},
    )
    assert cart == CartSaid("eeafa272cebfd4b2", Who(), datetime(2026, 11, 20, 9, tzinfo=UTC), "", ())
    assert shopify_read("app/uninstalled", {}) is None
    assert woocommerce_read("product.updated", {}) is None


def test_an_order_of_woocommerce_by_a_guest() -> None:
    said = woocommerce_read("order.updated", WOO_ORDER)

    assert isinstance(said, OrderSaid)
    # a number without its country can't be understood
    assert said.who == Who("", "zoe@example.com", "", "Zoë", "")
    assert said.placed_at == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert (said.paid, said.cancelled, said.lines[0].unit_price) == (True, False, Decimal("9.9"))
    gone = woocommerce_read("order.updated", {**WOO_ORDER, "status": "failed"})
    assert isinstance(gone, OrderSaid)
    assert gone.cancelled


def test_a_ticket_by_a_mapping() -> None:
    body = {
        "ticket": {"id": 35436, "status": "Solved", "updated_at": 1763629200, "requester": {"email": "a@b.example"}}
    }
    said = mapped_read(ZENDESK, body)

    assert isinstance(said, TicketSaid)
    assert (said.number, said.is_open, said.who.email) == ("35436", False, "a@b.example")
    body["ticket"]["status"] = "pending"
    assert mapped_read(ZENDESK, body).is_open  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("topic", "change"),
    [
        ("orders/create", {"id": None}),
        ("orders/create", {"updated_at": "yesterday", "created_at": None}),
        ("orders/create", {"updated_at": "2026-11-20T10:00:00"}),
        ("orders/create", {"line_items": [{"sku": "x", "price": "NaN", "quantity": 1}]}),
        ("orders/create", {"line_items": [{"sku": "x", "price": "1", "quantity": "many"}]}),
    ],
)
def test_what_can_not_be_read_says_so(topic: str, change: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        shopify_read(topic, {**SHOPIFY_ORDER, **change})
    others: list[Any] = [None, [], "x", 1]
    for nonsense in others:
        with pytest.raises(Invalid):
            shopify_read(topic, nonsense)


def test_signatures_are_theirs_and_zendesks_of_these_minutes() -> None:
    at = datetime(2026, 11, 20, 9, tzinfo=UTC)
    right = b64encode(hmac.digest(SECRET.encode(), b"{}", "sha256")).decode()
    for kind, header in (("shopify", "X-Shopify-Hmac-Sha256"), ("woocommerce", "X-WC-Webhook-Signature")):
        assert signature_is_right(kind, secret=SECRET, headers={header: right}, body=b"{}")
        for wrong in ("", right[:-2], "é", right.lower()):
            assert not signature_is_right(kind, secret=SECRET, headers={header: wrong}, body=b"{}")
        assert not signature_is_right(kind, secret=SECRET, headers={header: right}, body=b"{ }")
        assert not signature_is_right(kind, secret="", headers={header: right}, body=b"{}")
    stamp = at.isoformat()
    signed = b64encode(hmac.digest(SECRET.encode(), stamp.encode() + b"{}", "sha256")).decode()
    headers = {"X-Zendesk-Webhook-Signature": signed, "X-Zendesk-Webhook-Signature-Timestamp": stamp}
    assert signature_is_right("zendesk", secret=SECRET, headers=headers, body=b"{}", at=at)
    assert not signature_is_right("zendesk", secret=SECRET, headers=headers, body=b"{}", at=at + timedelta(minutes=6))


@pytest.mark.parametrize(
    "given",
    [
        [],
        {"shop": {"kind": "magento", "secret": SECRET}},
        {"shop": {"kind": "shopify"}},
        {"shop": {"kind": "shopify", "secret": SECRET, "mapping": {}}},
        {"../x": {"kind": "shopify", "secret": SECRET}},
        {"desk": {"kind": "zendesk", "secret": SECRET}},
        {"desk": {"kind": "zendesk", "secret": SECRET, "mapping": {**ZENDESK, "closed": []}}},
        {"desk": {"kind": "zendesk", "secret": SECRET, "mapping": {**ZENDESK, "colour": "x"}}},
        {"desk": {"kind": "webhook", "secret": SECRET, "mapping": {"what": "people", "number": "id"}}},
    ],
)
def test_systems_that_can_not_be_meant_stop_the_start(given: object) -> None:
    with pytest.raises(ValueError, match="INBOUND_SYSTEMS") as caught:
        inbound_systems_read(given)
    assert SECRET not in str(caught.value)
