"""Writes about what is sold."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import transaction

from apps.foundation.core.clock import now
from apps.foundation.core.errors import Conflict, Invalid, NotFound

from .models import Item

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
ITEM_FIELDS: Final = (
    "title", "category", "price", "cost", "currency", "url", "image_url", "in_stock", "recommendable",
)  # fmt: skip
"""What a shop tells of an item, beside its number."""


def item_create(*, sku: str, fields: Mapping[str, Any]) -> Item:
    """A new item. fields: of `ITEM_FIELDS`. Raises Invalid, Conflict for a number that another has."""
    _check(fields, sku)
    with transaction.atomic():
        item, new = Item.objects.get_or_create(sku=sku, defaults=dict(fields))
    if not new:
        raise Conflict("sku_taken", "There is an item with this number: change that one", {"id": item.pk})
    return item


def item_put(*, sku: str, fields: Mapping[str, Any]) -> tuple[Item, bool]:
    """Have the item with this number say this; what is not named stays. Without one it is made.

    Returns the item and whether it is new. Raises Invalid.
    """
    _check(fields, sku)
    with transaction.atomic():
        item, new = Item.objects.select_for_update().get_or_create(sku=sku, defaults=dict(fields))
        return (item, True) if new else (_set(item, fields), False)


def item_change(*, item_id: int, fields: Mapping[str, Any], seen: int | None = None) -> Item:
    """Change an item. seen: its version (`item_version`) as the caller read it; another one is a Conflict.

    Raises Invalid, NotFound, Conflict.
    """
    _check(fields)
    with transaction.atomic():
        item = Item.objects.select_for_update().filter(pk=item_id).first()
        if item is None:
            raise NotFound("item_unknown", "There is no such item")
        if seen is not None and item_version(item) != seen:
            raise Conflict("changed_meanwhile", "The item was changed meanwhile: read it again")
        return _set(item, fields)


def item_version(item: Item) -> int:
    """What differs after each change: the moment of the last one, in microseconds."""
    return (item.updated_at - _EPOCH) // timedelta(microseconds=1)


def _set(item: Item, fields: Mapping[str, Any]) -> Item:
    if item.cost is not None and item.currency and fields.get("currency", item.currency) != item.currency:
        fields = {"cost": None, **fields}  # an amount of a currency that is not the item's any more
    changed = [name for name, value in fields.items() if getattr(item, name) != value]
    if changed:
        for name in changed:
            setattr(item, name, fields[name])
        if "price" in changed:
            item.sold_at = None  # a price of the catalog, not of a sale
        item.updated_at = max(now(), item.updated_at + timedelta(microseconds=1))
        item.save(update_fields=[*changed, "sold_at", "updated_at"])
    return item


def _check(fields: Mapping[str, Any], sku: str = "-") -> None:
    if not sku.strip():
        raise Invalid("sku_missing", "Give the item its number", {"field": "sku"})
    if unknown := sorted(fields.keys() - set(ITEM_FIELDS)):
        raise Invalid("field_unknown", f"An item has no {unknown[0]}", {"field": unknown[0]})
    for name in ("price", "cost"):
        if fields.get(name) is not None and fields[name] < 0:
            raise Invalid(f"{name}_negative", f"A {name} is not below zero", {"field": name})
