"""What people did and bought, in the admin: looked at, never edited. Searched by what an index answers."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import TabularInline

from apps.foundation.core.admin import ReadOnlyAdmin

from .models import Event, Order, OrderLine


class OrderLineInline(TabularInline):
    """The lines of an order."""

    model = OrderLine
    fields = ("number", "item", "quantity", "unit_price", "is_purchase")
    readonly_fields = fields
    ordering = ("number",)
    extra = 0
    per_page = 50
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("item")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    """Orders, newest first."""

    list_display = ("external_id", "source", "status", "profile", "placed_at", "revenue", "currency", "country")
    list_filter = ("status",)
    list_select_related = ("profile",)
    search_fields = ("=external_id", "=profile__id")
    search_help_text = "order number or profile number"
    ordering = ("-placed_at", "-id")
    inlines = (OrderLineInline,)


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """Events, newest first."""

    list_display = ("name", "profile", "occurred_at", "recorded_at", "message_id")
    list_select_related = ("profile",)
    search_fields = ("=message_id", "=profile__id")
    search_help_text = "the sender's id of the event, or a profile number"
    ordering = ("-id",)
