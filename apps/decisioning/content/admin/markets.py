"""Markets in the admin."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from apps.decisioning.content.forms import MarketForm
from apps.decisioning.content.models import Market

from .saving import FIT, ServiceAdmin


@admin.register(Market)
class MarketAdmin(ServiceAdmin):
    """Parts of the business with content of their own."""

    empty_text = (
        "A market is a group of countries with its own languages. Local editors write the blocks of their markets."
    )
    form = MarketForm
    list_display = ("name", "code", "languages_listed", "blocks_counted")
    search_fields = ("name", "code")
    search_help_text = "name or code"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Market]:
        found: QuerySet[Market] = super().get_queryset(request)
        return found.annotate(blocks_number=Count("blocks"))

    def get_fieldsets(self, request: HttpRequest, obj: Market | None = None) -> Any:
        edits = obj is None or self.has_change_permission(request, obj)
        languages = "languages" if edits else "languages_listed"
        return [("The market", {"classes": (FIT,), "fields": ("code", "name", languages)})]

    def get_readonly_fields(self, request: HttpRequest, obj: Market | None = None) -> Any:
        return ("languages_listed", *(("code",) if obj is not None else ()))

    @admin.display(description="Languages")
    def languages_listed(self, market: Market) -> str:
        return ", ".join(market.languages)

    @admin.display(description="Blocks", ordering="blocks_number")
    def blocks_counted(self, market: Any) -> int:
        return int(market.blocks_number)
