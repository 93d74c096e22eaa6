"""Blocks in the admin: the editor with its live preview, and their versions."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from apps.decisioning.content.children import apart
from apps.decisioning.content.errors import ContentMisbehaved
from apps.decisioning.content.fields import Field, fields_read, language_is_valid
from apps.decisioning.content.forms import BlockForm, block_form_class
from apps.decisioning.content.forms.blocks import languages_posted
from apps.decisioning.content.labels import WRITTEN
from apps.decisioning.content.models import Block, BlockType, BlockVersion, Brand, Market
from apps.decisioning.content.previews import PERSONAS, Preview, block_preview
from apps.decisioning.content.selectors import brand_spec, fields_written, languages_written, tags_used
from apps.decisioning.content.tables import content_table_shown, language_title, source_shown, table_shown
from apps.decisioning.content.taxonomy import name_rule
from apps.foundation.core.admin import NewestAhead, once
from apps.foundation.governance.handing import OwnedAdmin
from apps.foundation.governance.pages import GovernedAdmin

from .block_editor import empty_panel, panels, personas_offered, preview_answer
from .saving import FIT, LINK, MORE_LANGUAGES, ServiceAdmin, VersionAdmin


@admin.register(Block)
class BlockAdmin(OwnedAdmin, GovernedAdmin, NewestAhead, ServiceAdmin):
    """Blocks: a form made from the type, for each language, with the block beside it as people will see it."""

    empty_text = (
        "A block is one piece of a message: a headline, a picture with words, a row of products. Write one, have "
        "it approved, and put it into a playbook."
    )
    list_display = ("name", "type", "tier", "market_shown", "languages_shown", "tags_listed", "owner", "updated_at")
    list_select_related = ("type", "owner", "market")
    actions_detail = ("approval_and_history", "owner_and_sharing")
    list_filter = ("type", "tier", "market", ("owner", admin.RelatedOnlyFieldListFilter))
    search_fields = ("name",)
    search_help_text = "name"
    change_form_template = "content/block_form.html"

    class Media:
        css = {"all": ["tessera/content.css", "tessera/editor.css"]}
        js = ["tessera/editor.js"]

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
        wanted = [*languages_written(), *content, *languages_posted(request.POST)]
        return list(dict.fromkeys(wanted))

    def get_fieldsets(self, request: HttpRequest, obj: Block | None = None) -> Any:
        form = self.get_form(request, obj)
        if not issubclass(form, BlockForm):
            about = ("name", "type", "tier", "market_shown", "tags_listed", "owner", "updated_at")
            return [
                ("The block", {"classes": (FIT,), "fields": about}),
                ("What it says", {"classes": (FIT,), "fields": ("content_shown", "versions_shown")}),
            ]
        # One set of all fields: the page lays them out by itself, with a panel for each language.
        return [(None, {"fields": tuple(form.base_fields)})]

    def get_readonly_fields(self, request: HttpRequest, obj: Block | None = None) -> Any:
        return ("type", "owner", "market_shown", "versions_shown", "content_shown", "tags_listed", "updated_at")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {}  # ?type= chooses the form and is no field of it

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        form = context["adminform"].form
        if isinstance(form, BlockForm):
            obj = kwargs.get("obj")
            newest = obj.versions.first() if obj is not None else None
            brands = list(Brand.objects.order_by("pk"))
            context |= {
                "preview_url": reverse(f"{self.admin_site.name}:content_block_preview", args=[form.block_type.pk]),
                "panels": panels(form, newest.content if newest is not None else {}),
                "empty_panel": empty_panel(form.block_type, form.declared),
                "languages": [(language, language_title(language)) for language in form.languages],
                "personas": personas_offered(),
                "brands": brands,
                "block_type": form.block_type,
                "block": obj,
                "newest": newest,
                "type_moved": newest is not None and newest.fields != form.block_type.fields,
                "name_said": name_rule(obj.tier if obj is not None else Block.Tier.CAMPAIGN)[1],
                "tags_used": tags_used(),
                "more_languages": [
                    (code, language_title(code))
                    for code in ("en", "de", "fr", *MORE_LANGUAGES, "de-AT", "de-CH", "fr-CH", "en-GB", "pt-BR")
                    if code not in form.languages
                ],
                "versions": self.versions_shown(obj) if obj is not None else "",
            }
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="Languages")
    def languages_shown(self, block: Block) -> SafeString:
        newest = block.versions.first()
        if newest is None:
            return SafeString("—")
        fields = fields_read(newest.fields, [])
        cells = []
        for language, values in newest.content.items():
            done, asked = fields_written(fields, values)
            cells.append(language if done == asked else f"{language} {done}/{asked}")
        return SafeString(format_html("{}", ", ".join(cells)))

    @admin.display(description="Market", ordering="market__name", empty_value="all")
    def market_shown(self, block: Block) -> Market | None:
        return block.market

    @admin.display(description="Tags")
    def tags_listed(self, block: Block) -> str:
        return ", ".join(block.tags) or "—"

    @admin.display(description="Now")
    @once
    def content_shown(self, block: Block) -> SafeString:
        newest = block.versions.first()
        return content_table_shown(newest) if newest is not None else SafeString("Nothing yet")

    @admin.display(description="Versions")
    @once
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
        """What is wrong with the form as it stands, not saved, and how it looks to a persona: JSON for the page."""
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied
        block_type = BlockType.objects.filter(pk=type_id).first()
        language = request.POST.get("preview_language", "")
        if block_type is None or not language_is_valid(language):
            raise Http404
        wanted = request.POST.get("preview_brand", "")
        brands = Brand.objects.order_by("pk")
        brand = (brands.filter(pk=int(wanted)).first() if wanted.isdecimal() and len(wanted) < 10 else None) or (
            brands.first()
        )
        personas = {persona.code: persona for persona in personas_offered()}
        answer = preview_answer(
            block_type=block_type,
            declared=fields_read(block_type.fields, []),
            data=request.POST.dict(),
            languages=languages_posted(request.POST),
            spec=brand_spec(brand) if brand is not None else None,
            persona=personas.get(request.POST.get("preview_persona", ""), PERSONAS[0]),
        )
        return JsonResponse(answer)


@admin.register(BlockVersion)
class BlockVersionAdmin(VersionAdmin):
    """What a block said since a version."""

    empty_text = "Each save of a block makes a version, which stays as it is."
    list_display = ("block", "number", "created_by", "created_at")
    list_select_related = ("block", "created_by")
    search_fields = ("block__name",)
    ordering = ("-id",)
    fields = (
        "block", "number", "looks_shown", "content_shown", "valid_from", "valid_until", "written_by_model", "digest",
        "created_by", "created_at",
    )  # fmt: skip
    readonly_fields = ("content_shown", "looks_shown")

    @admin.display(description="Text")
    def content_shown(self, version: BlockVersion) -> SafeString:
        return content_table_shown(version)

    @admin.display(description="Looks")
    def looks_shown(self, version: BlockVersion) -> SafeString:
        brand = Brand.objects.order_by("pk").first()
        language = next(iter(version.content), "en")
        declared: list[Field] = fields_read(version.fields, [])
        try:
            preview = apart(
                block_preview,
                name=version.block.name,
                fields=declared,
                layout=version.layout,
                text_layout=version.text_layout,
                content=version.content,
                language=language,
                persona=PERSONAS[0],
                brand=brand_spec(brand) if brand is not None else None,
                labels=[WRITTEN] if version.written_by_model else [],
            )
        except ContentMisbehaved as error:
            preview = Preview([error.problem])
        if not preview.html:
            return source_shown(preview.text or "\n".join(str(problem) for problem in preview.problems))
        return format_html(
            '<iframe class="t-frame t-frame-whole" sandbox title="{}" srcdoc="{}"></iframe>',
            f"{version}, {language}",
            preview.html,
        )
