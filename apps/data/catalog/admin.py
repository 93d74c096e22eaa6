"""What is sold, in the admin."""

from django.contrib import admin

from apps.foundation.core.admin import ReadOnlyAdmin
from apps.foundation.core.money import price_text

from .models import Item


@admin.register(Item)
class ItemAdmin(ReadOnlyAdmin):
    """Items as their shop tells of them."""

    empty_text = (
        "Items of your shop come over the API, from a product feed, or from its webhooks. Recommendations choose "
        "from them."
    )
    list_display = ("sku", "title", "category", "price_shown", "in_stock", "recommendable", "updated_at")
    list_filter = ("in_stock", "recommendable")
    search_fields = ("sku__istartswith", "title")
    search_help_text = "item number or words of the title"
    ordering = ("sku",)
    fieldsets = (
        (None, {"fields": ("sku", "title", "category")}),
        ("Price", {"fields": ("price_shown", "sold_at", "cost_shown")}),
        ("In messages", {"fields": ("in_stock", "recommendable", "url", "image_url")}),
        ("Times", {"fields": ("created_at", "updated_at")}),
    )

    @admin.display(description="Price", ordering="price")
    def price_shown(self, item: Item) -> str:
        return price_text(item.price, item.currency)

    @admin.display(description="Cost")
    def cost_shown(self, item: Item) -> str:
        return price_text(item.cost, item.currency)
