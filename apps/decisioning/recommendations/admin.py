"""What editors pick, in the admin."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from apps.decisioning.content.admin.saving import FIT, ServiceAdmin
from apps.foundation.core.clock import now
from apps.foundation.governance.pages import GovernedAdmin

from .forms import PicksForm
from .models import EditorialPicks


@admin.register(EditorialPicks)
class EditorialPicksAdmin(GovernedAdmin, ServiceAdmin):
    """Items that staff picked: what the source *editorial* of a tier shows."""

    empty_text = (
        "Pick items by hand, best first: the new season on the home page, gifts in December. In a playbook, give a "
        "tier the source “editorial”: it shows them wherever enough of them can be shown; else the tier below "
        "answers."
    )
    form = PicksForm
    list_display = ("name", "where_shown", "who_shown", "items_counted", "validity_shown", "owner", "updated_at")
    list_select_related = ("owner", "brand")
    list_filter = (("brand", admin.RelatedOnlyFieldListFilter),)
    search_fields = ("name", "placement", "category")
    search_help_text = "name, place or category"

    def get_fieldsets(self, request: HttpRequest, obj: EditorialPicks | None = None) -> Any:
        edits = self.has_add_permission(request) if obj is None else self.has_change_permission(request, obj)
        items = "items" if edits else "items_shown"
        return [
            ("What is picked", {"classes": (FIT,), "fields": ("name", items)}),
            ("Where, and for whom", {"classes": (FIT,), "fields": ("brand", "placement", "category")}),
            ("When", {"classes": (FIT,), "fields": ("valid_from", "valid_until")}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: EditorialPicks | None = None) -> Any:
        return ("items_shown",)

    @admin.display(description="Where", ordering="placement")
    def where_shown(self, picks: EditorialPicks) -> str:
        brand = str(picks.brand) if picks.brand is not None else "all brands"
        return f"{picks.placement}, {brand}" if picks.placement else brand

    @admin.display(description="For whom", ordering="category")
    def who_shown(self, picks: EditorialPicks) -> str:
        return f"buys most of {picks.category}" if picks.category else "everybody"

    @admin.display(description="Items")
    def items_counted(self, picks: EditorialPicks) -> int:
        return len(picks.items)

    @admin.display(description="Items")
    def items_shown(self, picks: EditorialPicks) -> str:
        return ", ".join(picks.items)

    @admin.display(description="Holds", ordering="valid_from")
    def validity_shown(self, picks: EditorialPicks) -> str:
        at = now()
        if picks.valid_from is not None and picks.valid_from > at:
            return f"from {_day(picks.valid_from)}"
        if picks.valid_until is not None:
            return f"{'over since' if picks.valid_until <= at else 'until'} {_day(picks.valid_until)}"
        return "for good"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
