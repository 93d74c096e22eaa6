"""What promotions look like in the API."""

from rest_framework import serializers

from apps.surfaces.api.serializers import Strict


class PromotionFields(Strict):
    """What a shop tells of a promotion."""

    title = serializers.CharField(max_length=300, required=False)
    category = serializers.CharField(max_length=120, required=False, allow_blank=True, help_text="of items; empty: all")
    countries = serializers.ListField(
        child=serializers.RegexField(r"^[A-Z]{2}$"), required=False, max_length=300, help_text="ISO 3166-1; empty: all"
    )
    discount_percent = serializers.DecimalField(max_digits=5, decimal_places=2, required=False, allow_null=True)
    url = serializers.URLField(max_length=1000, required=False, allow_blank=True)
    starts_at = serializers.DateTimeField(required=False)
    ends_at = serializers.DateTimeField(required=False, allow_null=True, help_text="null: no end")


class PromotionPut(PromotionFields):
    """A promotion by its code. A new one needs `title` and `starts_at`."""

    code = serializers.CharField(max_length=80)


class Promotion(serializers.Serializer[object]):
    """A promotion."""

    id = serializers.IntegerField(source="pk")
    code = serializers.CharField()
    title = serializers.CharField()
    category = serializers.CharField()
    countries = serializers.ListField(child=serializers.CharField())
    discount_percent = serializers.DecimalField(max_digits=5, decimal_places=2, allow_null=True)
    url = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField(allow_null=True)
    updated_at = serializers.DateTimeField()


class PromotionRows(serializers.Serializer[object]):
    """Promotions to be made or changed, by their codes."""

    rows = PromotionPut(many=True)


class PromotionPage(serializers.Serializer[object]):
    """A page of promotions."""

    items = Promotion(many=True)
    next = serializers.CharField(allow_null=True, help_text="cursor of the next page; null at the end")
