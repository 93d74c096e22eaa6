"""Audiences in the admin: a rule, what it means, and whom it finds, while it is written."""

from io import StringIO
from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_POST
from unfold.admin import ModelAdmin
from unfold.decorators import action

from apps.data.consent.models import Purpose
from apps.data.profiles.models import Profile
from apps.foundation.accounts.guarding import GuardedPages
from apps.foundation.accounts.models import User
from apps.foundation.core.clock import now
from apps.foundation.core.errors import DomainError, Invalid
from apps.foundation.governance.handing import OwnedAdmin
from apps.foundation.governance.pages import GovernedAdmin

from .exporting import FORMATS, audience_export, export_allowed
from .forms import AudienceForm, RuleWidget, rule_read, rule_text
from .models import Audience
from .rules import rule_parse, rule_reading
from .schema import rule_schema
from .selectors import audience_glance, audience_guess, rule_catalog
from .services import audience_create, audience_update

_GLANCE_MILLISECONDS = 2000
_SAMPLE = 8
_EXPORT_MOST = 50_000
"""People in an audience that is taken out by the page; larger ones by the command."""
_KNOWN = ("code", "owner", "created_at", "updated_at")


@admin.register(Audience)
class AudienceAdmin(OwnedAdmin, GovernedAdmin, GuardedPages, ModelAdmin):
    """Rules with a name."""

    empty_text = (
        "An audience is a rule about people: what they bought, did, agreed to. Build one, and see at once how many "
        "it takes in."
    )
    form = AudienceForm
    list_display = ("name", "reading", "owner", "updated_at")
    list_select_related = ("owner",)
    actions_detail = ("approval_and_history", "owner_and_sharing", "export")
    list_filter = (("owner", admin.RelatedOnlyFieldListFilter),)
    list_per_page = 50
    search_fields = ("name", "description")
    search_help_text = "name or description"
    warn_unsaved_form = True
    change_form_before_template = "admin/conflict.html"
    compressed_fields = False

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(require_POST(self.preview_view))
        schema = self.admin_site.admin_view(require_GET(self.schema_view))
        return [
            path("preview/", view, name="audiences_audience_preview"),
            path("schema/", schema, name="audiences_audience_schema"),
            *super().get_urls(),
        ]

    def get_form(self, request: HttpRequest, obj: Audience | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        field = form.base_fields.get("rule")
        if field is not None:
            preview = reverse(f"{self.admin_site.name}:audiences_audience_preview")
            field.widget = RuleWidget(preview_url=preview, catalog=rule_catalog(but=obj.code if obj else ""))
        return form

    def get_fields(self, request: HttpRequest, obj: Audience | None = None) -> Any:
        if obj is None:
            return ("name", "description", "rule", "watched")
        if not self.has_change_permission(request, obj):
            return (*("name", "description", "reading", "rule_shown", "watched"), *_KNOWN)
        return ("name", "description", "rule", "watched", *_KNOWN)

    def get_readonly_fields(self, request: HttpRequest, obj: Audience | None = None) -> Any:
        return (*_KNOWN, "reading", "rule_shown")

    @admin.display(description="Who is in it")
    def reading(self, audience: Audience) -> str:
        try:
            return rule_reading(rule_parse(audience.rule))
        except Invalid as fault:
            return f"A rule that can't be read: {fault.message}"

    @admin.display(description="Rule")
    def rule_shown(self, audience: Audience) -> SafeString:
        return format_html('<pre class="whitespace-pre-wrap">{}</pre>', rule_text(audience.rule))

    def save_model(self, request: HttpRequest, obj: Audience, form: Any, change: bool) -> None:
        """Through the services, which keep the audit log."""
        by, data = cast(User, request.user), form.cleaned_data
        if change:
            saved = audience_update(
                audience_id=obj.pk,
                name=data["name"],
                description=data["description"],
                rule=data["rule"],
                watched=data["watched"],
                by=by,
                seen_at=obj.updated_at,
            )
        else:
            saved = audience_create(
                name=data["name"],
                description=data["description"],
                rule=data["rule"],
                watched=data["watched"],
                owner=by,
            )
        obj.pk, obj.owner, obj.rule, obj.code = saved.pk, saved.owner, saved.rule, saved.code

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """What the rule in the form means, how many it finds, and some of them: a fragment for the form."""
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied
        context: dict[str, Any] = {}
        try:
            rule = rule_read(request.POST.get("rule", ""))
        except Invalid as fault:
            context["blank" if fault.code == "rule_empty" else "fault"] = fault.message
        else:
            context["reading"] = rule_reading(rule)
            glance = audience_glance(rule=rule, as_of=now(), size=_SAMPLE, milliseconds=_GLANCE_MILLISECONDS)
            context["glance"] = glance
            if glance is not None:
                context |= {"count": f"{glance.count:,}", "everybody": f"{glance.everybody:,}"}
                context["sample"] = [(pk, self._profile_url(request, pk)) for pk in glance.sample]
            elif estimate := audience_guess(rule=rule, as_of=now(), milliseconds=_GLANCE_MILLISECONDS):
                context |= {"estimate": estimate, "count": f"{estimate.count:,}"}
                context |= {"everybody": f"{estimate.everybody:,}", "margin": f"{estimate.margin:,}"}
        return render(request, "audiences/rule_preview.html", context)

    @action(  # type: ignore[untyped-decorator]  # unfold has no types
        description="Take out as a file", url_path="export", icon="download", permissions=["export"]
    )
    def export(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        """A page that asks for what, and by POST the file."""
        audience = self.get_object(request, str(object_id))
        if not self.has_export_permission(request):
            raise PermissionDenied
        if audience is None:
            raise Http404
        problem = ""
        if request.method == "POST":
            try:
                return self._exported(request, audience)
            except DomainError as error:
                problem = error.message
        context = {
            **self.admin_site.each_context(request),
            "title": f"{audience}: take it out as a file",
            "opts": self.opts,
            "back": reverse(f"{self.admin_site.name}:audiences_audience_change", args=[audience.pk]),
            "subject": audience,
            "problem": problem,
            "formats": FORMATS,
            "purposes": Purpose.objects.filter(needs_consent=True).values_list("code", "name"),
            "chosen": request.POST,
        }
        return render(request, "audiences/export.html", context, status=400 if problem else 200)

    def has_export_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may see addresses."""
        return export_allowed(cast(User, request.user))

    def _exported(self, request: HttpRequest, audience: Audience) -> HttpResponse:
        file = StringIO(newline="")
        form = request.POST.get("format", "")
        audience_export(
            audience_id=audience.pk,
            form=form,
            purpose=request.POST.get("purpose", ""),
            channel=request.POST.get("channel", ""),
            by=cast(User, request.user),
            out=file,
            most=_EXPORT_MOST,
        )
        name = f"{audience.code}-{form}.csv"
        return HttpResponse(
            file.getvalue(),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
        )

    def schema_view(self, request: HttpRequest) -> HttpResponse:
        """The JSON Schema of a rule, with the features that there are."""
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied
        return JsonResponse(rule_schema())

    def _profile_url(self, request: HttpRequest, profile_id: int) -> str:
        page = self.admin_site._registry.get(Profile)
        if page is None or not page.has_view_permission(request):
            return ""
        return reverse(f"{self.admin_site.name}:profiles_profile_change", args=[profile_id])
