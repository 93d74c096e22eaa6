"""What is sold, in the admin."""

from django.contrib import admin

from apps.foundation.core.admin import ReadOnlyAdmin

from .models import Item


@admin.register(Item)
class ItemAdmin(ReadOnlyAdmin):
    """Items as their shop tells of them."""

    list_display = ("sku", "title", "category", "price", "currency", "in_stock", "recommendable", "updated_at")
    list_filter = ("in_stock", "recommendable")
    search_fields = ("sku__istartswith", "title")
    search_help_text = "item number or words of the title"
    ordering = ("sku",)
    fieldsets = (
        (None, {"fields": ("sku", "title", "category")}),
        ("Price", {"fields": ("price", "currency", "sold_at")}),
        ("In messages", {"fields": ("in_stock", "recommendable", "url", "image_url")}),
        ("Times", {"fields": ("created_at", "updated_at")}),
    )
