"""What items look like in the API."""

from rest_framework import serializers

from apps.surfaces.api.serializers import Strict


class ItemFields(Strict):
    """What a shop tells of an item."""

    title = serializers.CharField(max_length=300, required=False, allow_blank=True)
    category = serializers.CharField(max_length=120, required=False, allow_blank=True)
    price = serializers.DecimalField(
        max_digits=14, decimal_places=4, required=False, allow_null=True, help_text="null: not known"
    )
    cost = serializers.DecimalField(
        max_digits=14,
        decimal_places=4,
        required=False,
        allow_null=True,
        help_text="what the shop itself pays for one, in the same currency; never shown to customers; null: not known",
    )
    currency = serializers.RegexField(r"^([A-Z]{3})?$", required=False, allow_blank=True, help_text="ISO 4217")
    url = serializers.URLField(max_length=1000, required=False, allow_blank=True)
    image_url = serializers.URLField(max_length=1000, required=False, allow_blank=True)
    in_stock = serializers.BooleanField(required=False)
    recommendable = serializers.BooleanField(
        required=False, help_text="may be shown in messages (postage and fees may not)"
    )


class ItemNew(ItemFields):
    """An item by its number."""

    sku = serializers.CharField(max_length=80, help_text="the item's number in the shop")


class Item(serializers.Serializer[object]):
    """An item."""

    id = serializers.IntegerField(source="pk")
    sku = serializers.CharField()
    title = serializers.CharField()
    category = serializers.CharField()
    price = serializers.DecimalField(max_digits=14, decimal_places=4, allow_null=True)
    cost = serializers.DecimalField(
        max_digits=14,
        decimal_places=4,
        allow_null=True,
        required=False,
        help_text="what the shop itself pays for one; only for clients with the scope `items:write`",
    )
    currency = serializers.CharField()
    url = serializers.CharField()
    image_url = serializers.CharField()
    in_stock = serializers.BooleanField()
    recommendable = serializers.BooleanField()
    updated_at = serializers.DateTimeField()


class ItemRows(serializers.Serializer[object]):
    """Items to be made or changed, by their numbers."""

    rows = ItemNew(many=True)


class ItemPage(serializers.Serializer[object]):
    """A page of items."""

    items = Item(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")
