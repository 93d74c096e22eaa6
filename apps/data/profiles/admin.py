"""Customers in the admin: found by what they are known by, looked at, not edited."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from unfold.admin import TabularInline

from apps.foundation.core.admin import ReadOnlyAdmin, once
from apps.foundation.core.errors import Invalid
from apps.foundation.core.signing import address_digests

from .addresses import identifiers_read, value_mask
from .attributes import attributes_shown
from .definitions import AttributeDefinitionAdmin
from .errors import MasterKeyMissing
from .models import Identifier, Profile
from .normalize import email_normalize, external_id_normalize

_MOST_FOUND = 50

__all__ = ["AttributeDefinitionAdmin", "ProfileAdmin"]


class IdentifierInline(TabularInline):
    """By what the person is known: whole for who may view identifiers, masked for others."""

    model = Identifier
    fields = ("kind", "value", "main", "verified", "source", "created_at")
    readonly_fields = fields
    extra = 0
    can_delete = False
    _whole = False
    _values: dict[int, str] | None = None
    _problem = ""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """An inline is made anew for each request: what may be shown is kept for as long."""
        self._whole = request.user.has_perm("profiles.view_identifier")
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.order_by("kind", "-main", "pk")

    @admin.display(description="value")
    def value(self, identifier: Identifier) -> str:
        if self._values is None:
            try:
                self._values = {one.id: one.value for one in identifiers_read(profile_id=identifier.profile_id)}
            except MasterKeyMissing as error:
                self._values, self._problem = {}, error.message
        value = self._values.get(identifier.pk)
        if value is None:
            return self._problem or "can't be read: the person was erased, or the value was tampered with"
        return value if self._whole else value_mask(identifier.kind, value)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("profiles.view_profile"))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Profile)
class ProfileAdmin(ReadOnlyAdmin):
    """People. Search is by exact address or customer number, which an index answers however many there are.

    It comes by POST and leads to numbers, so that no address gets into the address of a page.
    """

    empty_text = "People come in by a file, over the API, by events of your site, or by a sign-up form."
    list_display = ("number", "first_name", "last_name", "country", "language", "source", "updated_at", "page")
    list_display_links = ("number",)
    search_fields = ("=id",)
    search_help_text = "profile number, whole address, or customer number such as shop:123"
    ordering = ("-id",)
    inlines = (IdentifierInline,)
    readonly_fields = ("page", "attributes_known")
    fieldsets = (
        (None, {"fields": ("page", "first_name", "last_name", "country", "language", "time_zone")}),
        ("More", {"fields": ("attributes_known", "source", "created_at", "updated_at")}),
    )

    @admin.display(description="Their page")
    def page(self, profile: Profile) -> str:
        """Where consent, messages and what they did are, and moves as they choose."""
        return format_html('<a href="{}">open</a>', reverse("console:person", args=[profile.pk]))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """With what may be shown of it to the one who asks."""
        profile = super().get_object(request, object_id, from_field)
        if profile is not None:
            profile.shown_whole = request.user.has_perm("profiles.view_sealedattribute")
        return profile

    @admin.display(description="Attributes")
    @once
    def attributes_known(self, profile: Any) -> str:
        """Each on a line; sensitive ones for those who may see them."""
        try:
            shown = attributes_shown(profile_id=profile.pk, whole=profile.shown_whole)
        except MasterKeyMissing as error:
            return error.message
        rows = [(one.label, one.value or "sensitive, hidden") for one in shown]
        return format_html_join("", "<div><b>{}</b>: {}</div>", rows) or "none"

    @admin.display(description="Profile", ordering="id")
    def number(self, profile: Profile) -> str:
        return str(profile.pk)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, or where a search leads: to the one person found, or to the list of those found."""
        if request.method != "POST" or "sought" not in request.POST:
            page: HttpResponse = super().changelist_view(request, extra_context)
            return page
        if not self.has_view_permission(request):
            raise PermissionDenied
        sought, people = request.POST["sought"], self.get_queryset(request)
        found = list(self.get_search_results(request, people, sought)[0].values_list("pk", flat=True)[:_MOST_FOUND])
        here = reverse("admin:profiles_profile_changelist")
        if not sought.strip():
            return redirect(here)
        if len(found) == 1:
            return redirect("admin:profiles_profile_change", found[0])
        if not found:
            messages.info(request, "Nobody is known by that. Type the whole address, or the whole customer number.")
            return redirect(here)
        return redirect(f"{here}?id__in={','.join(map(str, found))}")

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
                known += address_digests(kind, normalize(term))
            except Invalid:
                continue
        people = Identifier.objects.filter(digest__in=known, kind__in=["email", "external_id"]).values("profile_id")
        return queryset.filter(wanted | Q(pk__in=people)), False
