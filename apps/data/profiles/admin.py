"""Customers in the admin: found by what they are known by, looked at, not edited."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import TabularInline

from apps.foundation.core.admin import ReadOnlyAdmin
from apps.foundation.core.errors import Invalid
from apps.foundation.core.signing import address_digest

from .models import Identifier, Profile
from .normalize import email_normalize, external_id_normalize


class IdentifierInline(TabularInline):
    """By what the person is known."""

    model = Identifier
    fields = ("kind", "value", "main", "verified", "source", "created_at")
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Profile)
class ProfileAdmin(ReadOnlyAdmin):
    """People. Search is by exact address or customer number, which an index answers however many there are."""

    list_display = ("number", "first_name", "last_name", "country", "language", "source", "updated_at", "page")
    list_display_links = ("number",)
    list_filter = ("language",)
    search_fields = ("=id",)
    search_help_text = "profile number, whole address, or customer number such as shop:123"
    ordering = ("-id",)
    inlines = (IdentifierInline,)
    readonly_fields = ("page",)
    fieldsets = (
        (None, {"fields": ("page", "first_name", "last_name", "country", "language", "time_zone")}),
        ("More", {"fields": ("attributes", "source", "created_at", "updated_at")}),
    )

    @admin.display(description="Their page")
    def page(self, profile: Profile) -> str:
        """Where consent, messages and what they did are, and moves as they choose."""
        return format_html('<a href="{}">open</a>', reverse("console:person", args=[profile.pk]))

    @admin.display(description="Profile", ordering="id")
    def number(self, profile: Profile) -> str:
        return str(profile.pk)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By the digests of what was typed: one look at an index for each way to read it."""
        term = search_term.strip()
        if not term:
            return queryset, False
        wanted = Q(pk=int(term)) if term.isascii() and term.isdigit() and len(term) < 19 else Q(pk__in=[])
        known: list[bytes] = []
        for kind, normalize in (("email", email_normalize), ("external_id", external_id_normalize)):
            try:
                known.append(address_digest(kind, normalize(term)))
            except Invalid:
                continue
        people = Identifier.objects.filter(digest__in=known, kind__in=["email", "external_id"]).values("profile_id")
        return queryset.filter(wanted | Q(pk__in=people)), False
