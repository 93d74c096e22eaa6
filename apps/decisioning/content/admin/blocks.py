"""Blocks in the admin, with their preview, and their versions."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from apps.decisioning.content.children import apart
from apps.decisioning.content.contracts import BrandSpec
from apps.decisioning.content.errors import ContentMisbehaved
from apps.decisioning.content.fields import Field, fields_read, language_is_valid
from apps.decisioning.content.forms import BlockForm, block_form_class, content_of
from apps.decisioning.content.models import Block, BlockType, BlockVersion, Brand
from apps.decisioning.content.previews import PERSONAS, Persona, Preview, block_preview
from apps.decisioning.content.selectors import brand_spec, languages_written
from apps.decisioning.content.tables import content_table_shown, language_title, source_shown, table_shown

from .saving import FIT, LINK, MORE_LANGUAGES, ServiceAdmin, VersionAdmin


def _preview(
    *,
    name: str,
    fields: Sequence[Field],
    layout: str,
    text_layout: str,
    content: Mapping[str, Mapping[str, Any]],
    language: str,
    persona: Persona,
    brand: BrandSpec | None,
) -> Preview:
    """`block_preview` in a child process: what is shown is not saved, so nothing has looked at it yet."""
    try:
        return apart(
            block_preview,
            name=name,
            fields=fields,
            layout=layout,
            text_layout=text_layout,
            content=content,
            language=language,
            persona=persona,
            brand=brand,
        )
    except ContentMisbehaved as error:
        return Preview([error.problem])


@admin.register(Block)
class BlockAdmin(ServiceAdmin):
    """Blocks: a form made from the type, for each language, with the block beside it as people will see it."""

    list_display = ("name", "type", "tier", "tags_listed", "owner", "updated_at")
    list_select_related = ("type", "owner")
    list_filter = ("type", "tier")
    search_fields = ("name",)
    search_help_text = "name"
    change_form_template = "content/block_form.html"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(require_POST(self.preview_view))
        return [path("preview/<int:type_id>/", view, name="content_block_preview"), *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> Any:
        if not self.has_add_permission(request):
            raise PermissionDenied
        if self._type_wanted(request) is None:  # first choose what it will be
            context = {
                **self.admin_site.each_context(request),
                "title": "What kind of block?",
                "types": BlockType.objects.order_by("name"),
                "opts": self.opts,
            }
            return render(request, "content/block_types.html", context)
        return super().add_view(request, form_url, extra_context)

    def _type_wanted(self, request: HttpRequest) -> BlockType | None:
        wanted = request.GET.get("type", "")
        return BlockType.objects.filter(pk=int(wanted)).first() if wanted.isdecimal() and len(wanted) < 10 else None

    def get_form(self, request: HttpRequest, obj: Block | None = None, change: bool = False, **kwargs: Any) -> Any:
        block_type = obj.type if obj is not None else self._type_wanted(request)
        if block_type is None or (obj is not None and not self.has_change_permission(request, obj)):
            return super().get_form(request, obj, change, **{**kwargs, "fields": ()})
        newest = obj.versions.first() if obj is not None else None
        content = newest.content if newest is not None else {}
        kwargs["form"] = block_form_class(
            block_type=block_type,
            declared=fields_read(block_type.fields, []),
            languages=self._languages(request, content),
            newest=newest,
        )
        # The fields are named here: asking for the fieldsets would ask for the form again.
        return super().get_form(request, obj, change, **{**kwargs, "fields": BlockForm.Meta.fields})

    def _languages(self, request: HttpRequest, content: dict[str, Any]) -> list[str]:
        added = request.GET.get("language", "")
        wanted = [*languages_written(), *content, *([added] if language_is_valid(added) else [])]
        return list(dict.fromkeys(wanted))

    def get_fieldsets(self, request: HttpRequest, obj: Block | None = None) -> Any:
        form = self.get_form(request, obj)
        if not issubclass(form, BlockForm):
            about = ("name", "type", "tier", "tags_listed", "owner", "updated_at")
            return [
                ("The block", {"classes": (FIT,), "fields": about}),
                ("What it says", {"classes": (FIT,), "fields": ("content_shown", "versions_shown")}),
            ]
        facts = ("valid_from", "valid_until", "written_by_model")
        about = ("name", "tier", "tags_line", *facts, "base", *(("type", "owner") if obj is not None else ()))
        sets: list[Any] = [("The block", {"classes": (FIT,), "fields": about})]
        for language in form.languages:
            names = tuple(name for name in form.base_fields if name.startswith(f"content__{language}__"))
            if names:
                sets.append((language_title(language), {"classes": (FIT,), "fields": names}))
        if obj is not None:
            sets.append(("Versions", {"classes": (FIT,), "fields": ("versions_shown",)}))
        return sets

    def get_readonly_fields(self, request: HttpRequest, obj: Block | None = None) -> Any:
        return ("type", "owner", "versions_shown", "content_shown", "tags_listed", "updated_at")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {}  # ?type= chooses the form and is no field of it

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        form = context["adminform"].form
        if isinstance(form, BlockForm):
            obj = kwargs.get("obj")
            if obj is not None:
                form.fields["tags_line"].initial = ", ".join(obj.tags)
            context |= {
                "preview_url": reverse(f"{self.admin_site.name}:content_block_preview", args=[form.block_type.pk]),
                "languages": [(language, language_title(language)) for language in form.languages],
                "personas": PERSONAS,
                "block_type": form.block_type,
                "more_languages": [
                    (code, language_title(code)) for code in MORE_LANGUAGES if code not in form.languages
                ],
                "products": any(field.kind == "products" for field in form.declared),
            }
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="Tags")
    def tags_listed(self, block: Block) -> str:
        return ", ".join(block.tags) or "—"

    @admin.display(description="Now")
    def content_shown(self, block: Block) -> SafeString:
        newest = block.versions.first()
        return content_table_shown(newest) if newest is not None else SafeString("Nothing yet")

    @admin.display(description="Versions")
    def versions_shown(self, block: Block) -> SafeString:
        rows = [
            (
                format_html(
                    '<a href="{}" class="{}">v{}</a>',
                    reverse("admin:content_blockversion_change", args=[version.pk]),
                    LINK,
                    version.number,
                ),
                ", ".join(version.content),
                version.created_by,
                f"{version.created_at:%Y-%m-%d %H:%M}",
            )
            for version in block.versions.select_related("created_by")[:30]
        ]
        return table_shown(("Version", "Languages", "Made by", "On"), rows)

    def preview_view(self, request: HttpRequest, type_id: int) -> HttpResponse:
        """The block in the form, not saved, as one of the personas would see it: a fragment for the form."""
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied
        block_type = BlockType.objects.filter(pk=type_id).first()
        if block_type is None:
            raise Http404
        declared = fields_read(block_type.fields, [])
        language = request.POST.get("preview_language", "")
        if not language_is_valid(language):
            raise Http404
        brand = Brand.objects.order_by("pk").first()
        content = content_of(declared, [language], request.POST)
        if not content:
            note = f"Nothing is written in {language_title(language)} yet. People get the brand's language instead."
            return render(request, "content/block_preview.html", {"note": note})
        preview = _preview(
            name=request.POST.get("name", "")[:120] or "this block",
            fields=declared,
            layout=block_type.layout,
            text_layout=block_type.text_layout,
            content=content,
            language=language,
            persona=next((p for p in PERSONAS if p.code == request.POST.get("preview_persona")), PERSONAS[0]),
            brand=brand_spec(brand) if brand is not None else None,
        )
        size = request.POST.get("preview_size", "phone")
        context = {"preview": preview, "size": size if size in ("phone", "desktop", "text") else "phone"}
        return render(request, "content/block_preview.html", context)


@admin.register(BlockVersion)
class BlockVersionAdmin(VersionAdmin):
    """What a block said since a version."""

    list_display = ("block", "number", "created_by", "created_at")
    list_select_related = ("block", "created_by")
    search_fields = ("block__name",)
    ordering = ("-id",)
    fields = ("block", "number", "looks_shown", "content_shown", "digest", "created_by", "created_at")
    readonly_fields = ("content_shown", "looks_shown")

    @admin.display(description="Text")
    def content_shown(self, version: BlockVersion) -> SafeString:
        return content_table_shown(version)

    @admin.display(description="Looks")
    def looks_shown(self, version: BlockVersion) -> SafeString:
        brand = Brand.objects.order_by("pk").first()
        language = next(iter(version.content), "en")
        preview = _preview(
            name=version.block.name,
            fields=fields_read(version.fields, []),
            layout=version.layout,
            text_layout=version.text_layout,
            content=version.content,
            language=language,
            persona=PERSONAS[0],
            brand=brand_spec(brand) if brand is not None else None,
        )
        if preview.problems or not preview.html:
            return source_shown(preview.text or "\n".join(str(problem) for problem in preview.problems))
        return format_html(
            '<iframe class="t-frame t-frame-whole" sandbox title="{}" srcdoc="{}"></iframe>',
            f"{version}, {language}",
            preview.html,
        )
