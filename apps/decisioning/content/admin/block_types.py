"""Block types in the admin."""

from typing import Any, cast

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString

from apps.decisioning.content.errors import BreaksBlocks
from apps.decisioning.content.fields import fields_read
from apps.decisioning.content.forms import BlockTypeForm
from apps.decisioning.content.models import BlockType
from apps.decisioning.content.tables import language_title, limits_shown, source_shown, table_shown
from apps.foundation.core.errors import DomainError
from apps.foundation.governance.handing import OwnedAdmin
from apps.foundation.governance.pages import GovernedAdmin

from .saving import FIT, ServiceAdmin

MOST_SHOWN = 100


@admin.register(BlockType)
class BlockTypeAdmin(OwnedAdmin, GovernedAdmin, ServiceAdmin):
    """Kinds of blocks: their fields, fixed and flexible, and how they look."""

    empty_text = (
        "A block type says which fields a block has, which of them only the central team changes, and how it is "
        "laid out. Blocks are made of it."
    )
    form = BlockTypeForm

    class Media:
        css = {"all": ["tessera/content.css", "tessera/editor.css"]}
        js = ["tessera/fields_builder.js"]

    list_display = ("name", "code", "fields_listed", "blocks_counted", "owner", "updated_at")
    list_select_related = ("owner",)
    actions_detail = ("approval_and_history", "owner_and_sharing")
    list_filter = (("owner", admin.RelatedOnlyFieldListFilter),)
    search_fields = ("name", "code", "description")
    search_help_text = "name, code or description"

    def get_queryset(self, request: HttpRequest) -> QuerySet[BlockType]:
        found = cast("QuerySet[BlockType]", super().get_queryset(request))
        return found.annotate(blocks_count=Count("blocks"))

    def get_fieldsets(self, request: HttpRequest, obj: BlockType | None = None) -> Any:
        edits = obj is None or self.has_change_permission(request, obj)
        fields = ("fields", *(("fields_shown",) if obj else ())) if edits else ("fields_shown",)
        layouts = ("layout", "text_layout") if edits else ("layout_shown", "text_layout_shown")
        about = ("code", "name", "description", *(("owner",) if obj is not None else ()))
        return [
            ("What it is", {"classes": (FIT,), "fields": about}),
            ("Fields", {"classes": (FIT,), "fields": fields}),
            ("Layouts", {"classes": (FIT,), "fields": layouts}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: BlockType | None = None) -> Any:
        return ("fields_shown", "layout_shown", "text_layout_shown", "owner", *(("code",) if obj is not None else ()))

    @admin.display(description="As saved")
    def fields_shown(self, block_type: BlockType) -> SafeString:
        rows = [
            (
                field.label,
                field.name,
                field.kind.replace("_", " "),
                "fixed" if field.fixed else "flexible",
                limits_shown(field),
            )
            for field in fields_read(block_type.fields, [])
        ]
        return table_shown(("Field", "Name", "Kind", "", "Limits, or its value"), rows) if rows else SafeString("None")

    @admin.display(description="Layout")
    def layout_shown(self, block_type: BlockType) -> SafeString:
        return source_shown(block_type.layout)

    @admin.display(description="Text layout")
    def text_layout_shown(self, block_type: BlockType) -> SafeString:
        return source_shown(block_type.text_layout)

    @admin.display(description="Fields")
    def fields_listed(self, block_type: BlockType) -> str:
        return ", ".join(field.label for field in fields_read(block_type.fields, [])) or "none"

    @admin.display(description="Blocks")
    def blocks_counted(self, block_type: Any) -> int:
        return int(block_type.blocks_count)

    def save_model(self, request: HttpRequest, obj: BlockType, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        blocks = obj.blocks.count() if change and form.has_changed() else 0
        if blocks:
            messages.info(request, f"Versions of its {blocks} blocks stay as they are; each takes this up when saved.")

    def refused(self, request: HttpRequest, error: DomainError) -> HttpResponse:
        """A change that would break blocks is shown with what it would break, and asked about."""
        if not isinstance(error, BreaksBlocks):
            return super().refused(request, error)
        context = {
            **self.admin_site.each_context(request),
            "title": "This change breaks one block"
            if error.blocks == 1
            else f"This change breaks {error.blocks} blocks",
            "opts": self.opts,
            "blocks": error.blocks,
            "breaks": [{**one, "language": language_title(one["language"])} for one in error.breaks[:MOST_SHOWN]],
            "more": max(0, len(error.breaks) - MOST_SHOWN),
            "untried": error.untried,
            "digest": error.digest,
            "given": [
                (name, value)
                for name, values in request.POST.lists()
                for value in values
                if name not in ("csrfmiddlewaretoken", "confirmed", "_back")
            ],
        }
        return render(request, "content/block_type_breaks.html", context, status=409)
