"""Brands in the admin."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps.decisioning.content.forms import BrandForm
from apps.decisioning.content.models import Brand
from apps.decisioning.content.tables import swatch_shown
from apps.foundation.governance.handing import OwnedAdmin
from apps.foundation.governance.pages import GovernedAdmin

from .saving import FIT, ServiceAdmin


@admin.register(Brand)
class BrandAdmin(OwnedAdmin, GovernedAdmin, ServiceAdmin):
    """Who speaks."""

    empty_text = (
        "A brand holds what every message of it shares: its sender, its postal address, its colours, and the hosts "
        "that links may go to."
    )
    form = BrandForm
    list_display = ("name", "code", "from_email", "default_language", "owner", "updated_at")
    list_select_related = ("owner",)
    actions_detail = ("approval_and_history", "owner_and_sharing")
    list_filter = (("owner", admin.RelatedOnlyFieldListFilter),)
    search_fields = ("name", "code")
    search_help_text = "name or code"

    def get_fieldsets(self, request: HttpRequest, obj: Brand | None = None) -> Any:
        look = ("colours", *(("colours_shown",) if obj else ()), "default_language", "labels", "unsafe_words")
        if obj is not None and not self.has_change_permission(request, obj):
            look = ("colours_shown", "default_language", "labels_shown", "unsafe_words")
        page_words = "page_words_shown" if "labels_shown" in look else "page_words"
        about = ("code", "name", "from_name", "from_email", "reply_to", *(("owner",) if obj is not None else ()))
        return [
            ("Who speaks", {"classes": (FIT,), "fields": about}),
            (
                "What the law asks, and links",
                {"classes": (FIT,), "fields": ("postal_address", "shop_url", "link_hosts")},
            ),
            ("Look and language", {"classes": (FIT,), "fields": look}),
            ("The customers' pages", {"classes": (FIT,), "fields": ("page_accent", page_words)}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Brand | None = None) -> Any:
        return ("colours_shown", "labels_shown", "page_words_shown", "owner", *(("code",) if obj is not None else ()))

    @admin.display(description="As saved")
    def colours_shown(self, brand: Brand) -> SafeString:
        return format_html_join(" ", '<span class="t-colour">{} {}</span>', (
            (name, swatch_shown(colour)) for name, colour in brand.colours.items()
        ))  # fmt: skip

    @admin.display(description="Labels for what a model did")
    def labels_shown(self, brand: Brand) -> str:
        return _words(brand.labels)

    @admin.display(description="Words of its own")
    def page_words_shown(self, brand: Brand) -> str:
        return _words(brand.page_words)


def _words(words: dict[str, dict[str, str]]) -> str:
    said = [f"{name} ({language}): {text}" for name, own in words.items() for language, text in own.items()]
    return "; ".join(said) or "Tessera's own"
