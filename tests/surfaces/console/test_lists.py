"""Lists of the admin: what stands there while nothing does, and how prices and times read."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib import admin
from django.test import Client

from apps.data.catalog.models import Item, Promotion
from apps.data.events.models import Order, OrderLine
from apps.foundation.core.clock import now
from tests.factories import make_user

pytestmark = pytest.mark.django_db
OURS = [page for model, page in admin.site._registry.items() if type(page).__module__.startswith("apps.")]


@pytest.mark.parametrize("listed", OURS, ids=lambda listed: listed.opts.label)
def test_each_list_says_what_it_is_for(listed: "admin.ModelAdmin[Item]") -> None:
    text = listed.empty_text  # type: ignore[attr-defined]
    assert len(text) > 40
    assert text.endswith(".")


def test_an_empty_list_teaches_and_a_search_that_finds_nothing_leads_back(client: Client) -> None:
    client.force_login(make_user("publisher"))

    page = client.get("/admin/audiences/audience/").content.decode()
    assert "No audiences yet" in page
    assert "An audience is a rule about people" in page
    assert 'href="/admin/audiences/audience/add/"' in page
    assert "Nothing matches" not in page

    page = client.get("/admin/audiences/audience/?q=nobody").content.decode()
    assert "Nothing matches" in page
    assert '<a href="?"' in page
    assert "No audiences yet" not in page


def test_prices_have_their_currency_and_the_day_comes_first(client: Client) -> None:
    at = datetime(2026, 11, 29, 14, 5, tzinfo=UTC)
    item = Item.objects.create(
        sku="A1", title="Teapot", price=Decimal("28.5000"), cost=11, currency="EUR", updated_at=at
    )
    order = Order.objects.create(
        source="shop", external_id="7", status="purchase", placed_at=at, revenue=Decimal("1057.0000"), currency="GBP"
    )
    OrderLine.objects.create(
        order=order, number=1, item=item, quantity=2, unit_price=Decimal("528.5"), is_purchase=True
    )
    client.force_login(make_user("publisher"))

    items = client.get("/admin/catalog/item/").content.decode()
    assert "€28.50" in items
    assert "29 Nov 2026, 14:05" in items
    one = client.get(f"/admin/catalog/item/{item.pk}/change/").content.decode()
    assert "€28.50" in one
    assert "€11.00" in one
    assert "£1,057.00" in client.get("/admin/events/order/").content.decode()
    one = client.get(f"/admin/events/order/{order.pk}/change/").content.decode()
    assert "£1,057.00" in one
    assert "£528.50" in one


def test_a_long_list_says_that_it_goes_on(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    at = datetime(2026, 11, 29, 14, 5, tzinfo=UTC)
    for number in range(4):
        Item.objects.create(sku=f"A{number}", title="Teapot", price=Decimal(5), currency="EUR", updated_at=at)
    client.force_login(make_user("publisher"))

    assert "the first" not in client.get("/admin/catalog/item/").content.decode()
    monkeypatch.setattr("apps.foundation.core.admin._ROWS_MOST", 3)
    page = client.get("/admin/catalog/item/").content.decode()
    assert "the first 3 items; search or filter for others" in page
    assert page.count("/change/") >= 3


def test_promotions_say_where_they_hold_and_whether_they_are_on(client: Client) -> None:
    at = now()
    for code, begins, ends in (("over", -9, -1), ("on", -1, None), ("to come", 1, 2)):
        Promotion.objects.create(
            code=code,
            title="Free delivery",
            countries=["DE", "AT"] if code == "on" else [],
            discount_percent=Decimal("12.50") if code == "on" else None,
            starts_at=at + timedelta(days=begins),
            ends_at=None if ends is None else at + timedelta(days=ends),
        )
    client.force_login(make_user("analyst"))
    listed = client.get("/admin/catalog/promotion/").content.decode()
    assert all(words in listed for words in ("DE, AT", "everywhere", "12.5 %"))
    page = admin.site._registry[Promotion]
    states = {one.code: page.state_shown(one) for one in Promotion.objects.all()}  # type: ignore[attr-defined]
    assert states == {"over": "over", "on": "on", "to come": "to come"}
