"""Definitions of attributes in the admin: what came in and nobody defined, what each is, and what is sealed."""

from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.foundation.accounts.models import User
from apps.foundation.accounts.rights import may
from apps.foundation.accounts.saving import ServiceAdmin
from apps.foundation.core.clock import now
from apps.foundation.core.errors import DomainError
from apps.foundation.governance.handing import OwnedAdmin

from .forms import LABELS, DefinitionForm, OpenForm
from .models import AttributeDefinition, AttributeSeen
from .services import attribute_open

_MOST_UNDEFINED = 60
_MOVING = {
    AttributeDefinition.Moving.SEALING: "values are being sealed: {:,} so far",
    AttributeDefinition.Moving.OPENING: "values are being made clear: {:,} so far",
}


@admin.register(AttributeDefinition)
class AttributeDefinitionAdmin(OwnedAdmin, ServiceAdmin):
    """What is known of people beside name and address: each attribute's type, label and whether it is sensitive."""

    empty_text = (
        "Define what you know of people beside name and address: its type, what stands where it is missing, "
        "whether it is sensitive. What comes in undefined is listed above."
    )
    form = DefinitionForm
    list_display = ("name", "label", "kind", "marks", "came_in", "owner")
    list_select_related = ("owner",)
    list_filter = ("kind", "sensitive", "required")
    search_fields = ("name", "description")
    search_help_text = "name or description"
    list_before_template = "profiles/undefined.html"
    actions_detail = ("owner_and_sharing",)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.open_view)
        return [
            path("<int:definition_id>/open/", view, name="profiles_attributedefinition_open"),
            *super().get_urls(),
        ]

    def get_fieldsets(self, request: HttpRequest, obj: AttributeDefinition | None = None) -> Any:
        edits = self.has_add_permission(request) if obj is None else self.has_change_permission(request, obj)
        about = ("name", "kind", "allowed" if edits else "allowed_shown", "description", *(("owner",) if obj else ()))
        fallback = "fallback" if edits else "fallback_shown"
        kept = ("required", "correctable", fallback, "fresh_days", *(("came_in",) if obj else ()))
        labels = tuple(field for field, _, _ in LABELS) if edits else ("labels_shown",)
        return [
            ("What it is", {"fields": about}),
            ("Sensitive", {"fields": ("sensitive", *(("standing",) if obj else ()))}),
            ("How it is kept", {"fields": kept}),
            ("What customers read", {"fields": labels}),
        ]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["fields"] = [name for name in DefinitionForm.Meta.fields if obj is None or name != "name"]
        return super().get_form(request, obj, change, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: AttributeDefinition | None = None) -> Any:
        shown = ("owner", "came_in", "standing", "allowed_shown", "fallback_shown", "labels_shown")
        return ("name", *shown) if obj is not None else shown

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, with the names above it that came in and nobody defined."""
        known = AttributeDefinition.objects.values("name")
        unknown = AttributeSeen.objects.exclude(name__in=known).order_by("-last_at", "name")
        add = reverse(f"{self.admin_site.name}:profiles_attributedefinition_add")
        context = {
            "undefined": [(one, f"{add}?{urlencode({'name': one.name})}") for one in unknown[:_MOST_UNDEFINED]],
            "may_define": self.has_add_permission(request),
        }
        page: HttpResponse = super().changelist_view(request, {**context, **(extra_context or {})})
        return page

    @admin.display(description="Label")
    def label(self, row: AttributeDefinition) -> str:
        return row.label_in("en")

    @admin.display(description="It is")
    def marks(self, row: AttributeDefinition) -> SafeString | str:
        said = {"sensitive": row.sensitive, "required": row.required, "correctable": row.correctable}
        words = [word for word, holds in said.items() if holds]
        return format_html('<span class="t-soft">{}</span>', ", ".join(words)) if words else "–"

    @admin.display(description="Last came in")
    def came_in(self, row: AttributeDefinition) -> SafeString | str:
        """Whether it does still, against the days for which it counts as fresh."""
        seen = AttributeSeen.objects.filter(pk=row.name).first()
        if seen is None:
            return "never"
        day = f"{seen.last_at:%-d %b %Y}"
        if row.fresh_days is not None and seen.last_at < now() - timedelta(days=row.fresh_days):
            return format_html('{} <span class="t-badge t-badge-failed">stale</span>', day)
        return day

    @admin.display(description="Its values")
    def standing(self, row: AttributeDefinition) -> SafeString | str:
        if row.moving:
            return _MOVING[AttributeDefinition.Moving(row.moving)].format(row.moved)
        if not row.sensitive:
            return "in the clear"
        here = reverse(f"{self.admin_site.name}:profiles_attributedefinition_open", args=[row.pk])
        return format_html('sealed, each with the key of its person · <a href="{}">Make it clear again…</a>', here)

    @admin.display(description="Allowed values")
    def allowed_shown(self, row: AttributeDefinition) -> str:
        return ", ".join(row.allowed) or "–"

    @admin.display(description="Fallback")
    def fallback_shown(self, row: AttributeDefinition) -> str:
        return "–" if row.fallback is None else str(row.fallback)

    @admin.display(description="Labels")
    def labels_shown(self, row: AttributeDefinition) -> str:
        return ", ".join(f"{code}: {text}" for code, text in sorted(row.labels.items())) or "–"

    def open_view(self, request: HttpRequest, definition_id: int) -> HttpResponse:
        """Asks for the name once more; by POST it is made clear again."""
        row = AttributeDefinition.objects.filter(pk=definition_id).first()
        if row is None:
            raise Http404
        if not may(cast(User, request.user), "open", row):
            raise PermissionDenied
        form = OpenForm(request.POST or None)
        back = reverse(f"{self.admin_site.name}:profiles_attributedefinition_change", args=[row.pk])
        if request.method == "POST" and form.is_valid():
            try:
                attribute_open(definition_id=row.pk, by=cast(User, request.user), name=form.cleaned_data["name"])
                messages.success(request, "Its values are being made clear again. It stays sensitive to the last one.")
                return HttpResponseRedirect(back)
            except DomainError as error:
                form.add_error(None, error.message)
        heading = f"Make “{row.name}” clear again"
        problems = list(form.non_field_errors()) if form.is_bound else []
        context = {
            **self.admin_site.each_context(request),
            "title": heading,
            "heading": heading,
            "opts": self.opts,
            "form": form,
            "lines": [
                "Its values are opened and stored in the clear: whoever reads the database reads them, and so does "
                "everybody who may look at profiles. Audiences can then compare them in every way.",
                "Sealing them again later does not take back what was read meanwhile.",
            ],
            "rows": [],
            "button": "Make it clear again",
            "danger": True,
            "back": back,
            "trouble": "This can't be done:",
            "problems": problems,
        }
        status = 409 if problems else 422 if form.errors else 200
        return render(request, "playbooks/confirm.html", context, status=status)
