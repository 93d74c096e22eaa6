"""What is sold and offered, in the admin."""

from django.contrib import admin

from apps.foundation.core.admin import ReadOnlyAdmin
from apps.foundation.core.clock import now
from apps.foundation.core.money import price_text

from .models import Item, Promotion


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


@admin.register(Promotion)
class PromotionAdmin(ReadOnlyAdmin):
    """Promotions as their shop tells of them."""

    empty_text = (
        "Promotions of your shop come over the API: what is offered, where, and from when until when. Rows to train "
        "models on count those that were on."
    )
    list_display = ("title", "code", "state_shown", "where_shown", "discount_shown", "starts_at", "ends_at")
    search_fields = ("code__istartswith", "title")
    search_help_text = "code or words of the title"
    ordering = ("-starts_at", "-id")
    fieldsets = (
        (None, {"fields": ("code", "title", "category", "where_shown", "discount_shown", "url")}),
        ("When", {"fields": ("state_shown", "starts_at", "ends_at")}),
        ("Times", {"fields": ("created_at", "updated_at")}),
    )

    @admin.display(description="State")
    def state_shown(self, promotion: Promotion) -> str:
        at = now()
        if promotion.starts_at > at:
            return "to come"
        return "over" if promotion.ends_at is not None and promotion.ends_at <= at else "on"

    @admin.display(description="Where")
    def where_shown(self, promotion: Promotion) -> str:
        return ", ".join(promotion.countries) or "everywhere"

    @admin.display(description="Discount")
    def discount_shown(self, promotion: Promotion) -> str:
        return "" if promotion.discount_percent is None else f"{promotion.discount_percent.normalize():f} %"
