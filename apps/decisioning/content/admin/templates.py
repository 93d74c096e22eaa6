"""Templates in the admin; their versions, and what they compile to."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from apps.decisioning.content.cases import arrangement_data, case_data
from apps.decisioning.content.fields import language_is_valid
from apps.decisioning.content.forms import FORM_OF, TemplateForm
from apps.decisioning.content.models import Brand, CompiledTemplate, Template, TemplateVersion
from apps.decisioning.content.notation import yaml_write
from apps.decisioning.content.previews import PERSONAS
from apps.decisioning.content.selectors import brand_spec, languages_written
from apps.decisioning.content.tables import language_title, source_shown, table_shown
from apps.decisioning.content.template_tests import template_tests
from apps.foundation.accounts.saving import ServiceForm
from apps.foundation.core.admin import NewestAhead
from apps.foundation.governance.handing import OwnedAdmin
from apps.foundation.governance.pages import GovernedAdmin

from .block_editor import personas_offered, template_answer
from .saving import FIT, LINK, VersionAdmin
from .template_tests import TemplateTestsPages


@admin.register(Template)
class TemplateAdmin(OwnedAdmin, GovernedAdmin, NewestAhead, TemplateTestsPages):
    """Layout and logic, owned by engineers."""

    empty_text = (
        "A template is the frame of a message, with slots that blocks fill. Engineers write it; it is published "
        "when nothing in it can be blank."
    )
    form = TemplateForm
    change_form_template = "content/template_form.html"

    class Media:
        css = {"all": ["tessera/content.css", "tessera/editor.css"]}
        js = ["tessera/editor.js"]

    list_display = ("name", "code", "channel", "newest_shown", "owner", "updated_at")
    list_select_related = ("owner",)
    actions_detail = ("approval_and_history", "owner_and_sharing")
    list_filter = ("channel", ("owner", admin.RelatedOnlyFieldListFilter))
    search_fields = ("name", "code")
    search_help_text = "name or code"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(require_POST(self.preview_view))
        return [path("preview/", view, name="content_template_preview"), *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        form = context["adminform"].form
        if isinstance(form, TemplateForm):
            context |= {
                "channel": form.channel,
                "channels": [] if form.instance.pk else list(Template.Channel.choices),
                "preview_url": reverse(f"{self.admin_site.name}:content_template_preview"),
                "languages": [(language, language_title(language)) for language in languages_written()],
                "personas": personas_offered(),
                "brands": list(Brand.objects.order_by("pk")),
            }
        return super().render_change_form(request, context, *args, **kwargs)

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """How the sources in the form look, not saved: JSON for the page."""
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied
        language, wanted = request.POST.get("preview_language", ""), request.POST.get("preview_brand", "")
        if not language_is_valid(language):
            raise Http404
        brands = Brand.objects.order_by("pk")
        brand = (brands.filter(pk=int(wanted)).first() if wanted.isdecimal() and len(wanted) < 10 else None) or (
            brands.first()
        )
        personas = {persona.code: persona for persona in personas_offered()}
        form = FORM_OF.get(request.POST.get("preview_channel", ""), TemplateForm)
        data = request.POST.dict()
        answer = template_answer(
            sources=form.sources(data),
            channel=form.channel,
            data=data,
            language=language,
            spec=brand_spec(brand) if brand is not None else None,
            persona=personas.get(request.POST.get("preview_persona", ""), PERSONAS[0]),
        )
        return JsonResponse(answer)

    def get_fieldsets(self, request: HttpRequest, obj: Template | None = None) -> Any:
        edits = obj is None or self.has_change_permission(request, obj)
        about = ("code", "name", *(("channel", "owner") if obj is not None else ()))
        if edits:
            sets = [
                ("The template", {"classes": (FIT,), "fields": about}),
                ("What it says", {"classes": (FIT,), "fields": (*self._form_of(request, obj).written, "base")}),
            ]
        else:
            sets = [("The template", {"classes": (FIT,), "fields": about})]
        if obj is not None:
            sets.insert(1, ("Tests", {"classes": (FIT,), "fields": ("tests_shown",)}))
            sets.append(("Versions", {"classes": (FIT,), "fields": ("versions_shown",)}))
        return sets

    def get_readonly_fields(self, request: HttpRequest, obj: Template | None = None) -> Any:
        return ("channel", "owner", "tests_shown", "versions_shown", *(("code",) if obj is not None else ()))

    def get_form(self, request: HttpRequest, obj: Template | None = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            kwargs["form"] = type(
                "Looked", (ServiceForm,), {"Meta": type("Meta", (), {"model": Template, "fields": ()})}
            )
        else:
            kwargs["form"] = self._form_of(request, obj)
        form = super().get_form(request, obj, change, **kwargs)
        newest = obj.versions.first() if obj is not None else None
        if newest is not None and issubclass(form, TemplateForm):
            for name, value in {**form.shown(newest), "base": newest.number}.items():
                if name in form.base_fields:
                    form.base_fields[name].initial = value
        return form

    def _form_of(self, request: HttpRequest, obj: Template | None) -> type[TemplateForm]:
        """The form of the template's channel; of a new one, of the channel that the address names."""
        return FORM_OF.get(obj.channel if obj is not None else request.GET.get("channel", ""), TemplateForm)

    @admin.display(description="Results")
    def tests_shown(self, template: Template) -> SafeString:
        tests = reverse("admin:content_template_tests", args=[template.pk])
        return format_html(
            '<div hx-get="{}?summary" hx-trigger="load"><p class="t-soft">Running the cases… '
            '<a class="t-link" href="{}">Open the tests</a></p></div>',
            tests,
            tests,
        )

    @admin.display(description="Newest version")
    def newest_shown(self, template: Template) -> str:
        newest = template.versions.first()
        return f"v{newest.number}, slots {', '.join(newest.slots) or 'none'}" if newest is not None else "none"

    @admin.display(description="Versions")
    def versions_shown(self, template: Template) -> SafeString:
        rows = [
            (
                format_html(
                    '<a href="{}" class="{}">v{}</a>',
                    reverse("admin:content_templateversion_change", args=[version.pk]),
                    LINK,
                    version.number,
                ),
                ", ".join(version.slots),
                version.created_by,
                f"{version.created_at:%Y-%m-%d %H:%M}",
            )
            for version in template.versions.select_related("created_by")[:30]
        ]
        return table_shown(("Version", "Slots", "Made by", "On"), rows)


@admin.register(TemplateVersion)
class TemplateVersionAdmin(VersionAdmin):
    """The sources of a template since a version."""

    empty_text = "Each save of a template makes a version, which stays as it is."
    list_display = ("template", "number", "created_by", "created_at")
    list_select_related = ("template", "created_by")
    search_fields = ("template__name", "template__code")
    ordering = ("-id",)
    fields = (
        "template", "number", "slots_listed", "subject_shown", "mjml_shown", "text_shown", "tests_shown", "digest",
        "created_by", "created_at",
    )  # fmt: skip
    readonly_fields = ("slots_listed", "subject_shown", "mjml_shown", "text_shown", "tests_shown")

    @admin.display(description="Tests")
    def tests_shown(self, version: TemplateVersion) -> SafeString:
        arrangement, cases = template_tests(version)
        if not arrangement and not cases:
            return SafeString("None yet")
        parts = [yaml_write(arrangement_data(arrangement)), *(f"# {c.name}\n{yaml_write(case_data(c))}" for c in cases)]
        return source_shown("\n".join(parts))

    @admin.display(description="Slots")
    def slots_listed(self, version: TemplateVersion) -> str:
        return ", ".join(version.slots) or "none"

    @admin.display(description="Subject")
    def subject_shown(self, version: TemplateVersion) -> SafeString:
        return source_shown(version.subject)

    @admin.display(description="MJML")
    def mjml_shown(self, version: TemplateVersion) -> SafeString:
        return source_shown(version.mjml)

    @admin.display(description="Plain text")
    def text_shown(self, version: TemplateVersion) -> SafeString:
        return source_shown(version.text)


@admin.register(CompiledTemplate)
class CompiledTemplateAdmin(VersionAdmin):
    """What a published message is rendered from."""

    empty_text = "Publishing a playbook compiles its template with its blocks, once for each language."
    list_display = ("digest_short", "language", "size_shown", "created_at")
    list_filter = ("language",)
    ordering = ("-id",)
    fields = (
        "digest",
        "language",
        "size_shown",
        "tokens_listed",
        "subject_shown",
        "html_shown",
        "text_shown",
        "created_at",
    )
    readonly_fields = ("size_shown", "tokens_listed", "subject_shown", "html_shown", "text_shown")

    @admin.display(description="Digest")
    def digest_short(self, compiled: CompiledTemplate) -> str:
        return compiled.digest[:12]

    @admin.display(description="Largest HTML", ordering="largest_bytes")
    def size_shown(self, compiled: CompiledTemplate) -> str:
        kilobytes = compiled.largest_bytes / 1024
        return f"{kilobytes:.0f} kB" + (" — Gmail clips it at 102 kB" if kilobytes > 102 else "")

    @admin.display(description="Uses of a profile")
    def tokens_listed(self, compiled: CompiledTemplate) -> str:
        return ", ".join(compiled.tokens) or "nothing"

    @admin.display(description="Subject")
    def subject_shown(self, compiled: CompiledTemplate) -> SafeString:
        return source_shown(compiled.subject)

    @admin.display(description="HTML")
    def html_shown(self, compiled: CompiledTemplate) -> SafeString:
        return source_shown(compiled.html)

    @admin.display(description="Plain text")
    def text_shown(self, compiled: CompiledTemplate) -> SafeString:
        return source_shown(compiled.text)
