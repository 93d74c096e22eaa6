"""Content in the admin: brands, block types, blocks with their preview, templates; versions are only looked at."""

from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin

from apps.foundation.accounts.models import User
from apps.foundation.core.admin import ReadOnlyAdmin
from apps.foundation.core.errors import DomainError

from .fields import fields_read, language_is_valid
from .forms import BlockForm, BlockTypeForm, BrandForm, ServiceForm, TemplateForm, block_form_class, content_name
from .models import Block, BlockType, BlockVersion, Brand, CompiledTemplate, Template, TemplateVersion
from .previews import PERSONAS, block_preview
from .selectors import brand_spec, languages_written
from .tables import content_table_shown, language_title, limits_shown, source_shown, swatch_shown, table_shown

_MORE_LANGUAGES = ("it", "es", "nl", "pl", "pt", "sv")
_FIT = "min-w-0"  # of a fieldset, which else grows with its widest part on a phone
_LINK = "text-primary-600 dark:text-primary-500 underline"


class ServiceAdmin(ModelAdmin):
    """Saves by the services; what they refuse is told at the form's fields."""

    warn_unsaved_form = True
    compressed_fields = False
    list_per_page = 50

    class Media:
        css = {"all": ["tessera/content.css"]}

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # what was sent can be rendered again from it

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if issubclass(form, ServiceForm):
            form.user = cast(User, request.user)
        return form

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        return form.instance

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        saved = form.service()
        obj.__dict__.update(saved.__dict__)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing beside the object itself."""

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except DomainError as error:  # lost a race between the form's check and the service's
            messages.error(request, error.message)
            return HttpResponseRedirect(request.get_full_path())


@admin.register(Brand)
class BrandAdmin(ServiceAdmin):
    """Who speaks."""

    form = BrandForm
    list_display = ("name", "code", "from_email", "default_language", "updated_at")
    search_fields = ("name", "code")
    search_help_text = "name or code"

    def get_fieldsets(self, request: HttpRequest, obj: Brand | None = None) -> Any:
        look = ("colours", "colours_shown", "default_language") if obj else ("colours", "default_language")
        if obj is not None and not self.has_change_permission(request, obj):
            look = ("colours_shown", "default_language")
        return [
            ("Who speaks", {"classes": (_FIT,), "fields": ("code", "name", "from_name", "from_email", "reply_to")}),
            (
                "What the law asks, and links",
                {"classes": (_FIT,), "fields": ("postal_address", "shop_url", "link_hosts")},
            ),
            ("Look and language", {"classes": (_FIT,), "fields": look}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Brand | None = None) -> Any:
        return ("colours_shown", *(("code",) if obj is not None else ()))

    @admin.display(description="As saved")
    def colours_shown(self, brand: Brand) -> SafeString:
        return format_html_join(" ", '<span class="t-colour">{} {}</span>', (
            (name, swatch_shown(colour)) for name, colour in brand.colours.items()
        ))  # fmt: skip


@admin.register(BlockType)
class BlockTypeAdmin(ServiceAdmin):
    """Kinds of blocks: their fields, fixed and flexible, and how they look."""

    form = BlockTypeForm
    list_display = ("name", "code", "fields_listed", "blocks_counted", "updated_at")
    search_fields = ("name", "code", "description")
    search_help_text = "name, code or description"

    def get_fieldsets(self, request: HttpRequest, obj: BlockType | None = None) -> Any:
        edits = obj is None or self.has_change_permission(request, obj)
        fields = ("fields", *(("fields_shown",) if obj else ())) if edits else ("fields_shown",)
        layouts = ("layout", "text_layout") if edits else ("layout_shown", "text_layout_shown")
        return [
            ("What it is", {"classes": (_FIT,), "fields": ("code", "name", "description")}),
            ("Fields", {"classes": (_FIT,), "fields": fields}),
            ("Layouts", {"classes": (_FIT,), "fields": layouts}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: BlockType | None = None) -> Any:
        return ("fields_shown", "layout_shown", "text_layout_shown", *(("code",) if obj is not None else ()))

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
    def blocks_counted(self, block_type: BlockType) -> int:
        return block_type.blocks.count()

    def save_model(self, request: HttpRequest, obj: BlockType, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        blocks = obj.blocks.count() if change and form.has_changed() else 0
        if blocks:
            messages.info(request, f"Versions of its {blocks} blocks stay as they are; each takes this up when saved.")


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
            content=content,
            base=newest.number if newest is not None else 0,
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
                ("The block", {"classes": (_FIT,), "fields": about}),
                ("What it says", {"classes": (_FIT,), "fields": ("content_shown", "versions_shown")}),
            ]
        about = ("name", "tier", "tags_line", "base", *(("type", "owner") if obj is not None else ()))
        sets: list[Any] = [("The block", {"classes": (_FIT,), "fields": about})]
        for language in form.languages:
            names = tuple(content_name(language, field) for field in form.declared if field.kind != "products")
            if names:
                sets.append((language_title(language), {"classes": (_FIT,), "fields": names}))
        if obj is not None:
            sets.append(("Versions", {"classes": (_FIT,), "fields": ("versions_shown",)}))
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
                    (code, language_title(code)) for code in _MORE_LANGUAGES if code not in form.languages
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
                    _LINK,
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
        values = {
            field.name: request.POST.get(content_name(language, field), "").strip()
            for field in declared
            if not field.fixed and field.kind != "products"
        }
        brand = Brand.objects.order_by("pk").first()
        if values and not any(values.values()):
            note = f"Nothing is written in {language_title(language)} yet. People get the brand's language instead."
            return render(request, "content/block_preview.html", {"note": note})
        preview = block_preview(
            name=request.POST.get("name", "")[:120] or "this block",
            fields=declared,
            layout=block_type.layout,
            text_layout=block_type.text_layout,
            content={language: values},
            language=language,
            persona=next((p for p in PERSONAS if p.code == request.POST.get("preview_persona")), PERSONAS[0]),
            brand=brand_spec(brand) if brand is not None else None,
        )
        size = request.POST.get("preview_size", "phone")
        context = {"preview": preview, "size": size if size in ("phone", "desktop", "text") else "phone"}
        return render(request, "content/block_preview.html", context)


class VersionAdmin(ReadOnlyAdmin):
    """A version: looked at only, and reached from what it is a version of."""

    class Media:
        css = {"all": ["tessera/content.css"]}

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [(None, {"classes": (_FIT,), "fields": self.get_fields(request, obj)})]


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
        preview = block_preview(
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


@admin.register(Template)
class TemplateAdmin(ServiceAdmin):
    """Layout and logic, owned by engineers."""

    form = TemplateForm
    list_display = ("name", "code", "newest_shown", "owner", "updated_at")
    list_select_related = ("owner",)
    search_fields = ("name", "code")
    search_help_text = "name or code"

    def get_fieldsets(self, request: HttpRequest, obj: Template | None = None) -> Any:
        edits = obj is None or self.has_change_permission(request, obj)
        about = ("code", "name", *(("owner",) if obj is not None else ()))
        if edits:
            sets = [
                ("The template", {"classes": (_FIT,), "fields": about}),
                ("Sources", {"classes": (_FIT,), "fields": ("subject", "mjml", "text", "base")}),
            ]
        else:
            sets = [("The template", {"classes": (_FIT,), "fields": about})]
        if obj is not None:
            sets.append(("Versions", {"classes": (_FIT,), "fields": ("versions_shown",)}))
        return sets

    def get_readonly_fields(self, request: HttpRequest, obj: Template | None = None) -> Any:
        return ("owner", "versions_shown", *(("code",) if obj is not None else ()))

    def get_form(self, request: HttpRequest, obj: Template | None = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            kwargs["form"] = type(
                "Looked", (ServiceForm,), {"Meta": type("Meta", (), {"model": Template, "fields": ()})}
            )
        form = super().get_form(request, obj, change, **kwargs)
        newest = obj.versions.first() if obj is not None else None
        if newest is not None:
            now = {"subject": newest.subject, "mjml": newest.mjml, "text": newest.text, "base": newest.number}
            for name, value in now.items():
                if name in form.base_fields:
                    form.base_fields[name].initial = value
        return form

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
                    _LINK,
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

    list_display = ("template", "number", "created_by", "created_at")
    list_select_related = ("template", "created_by")
    search_fields = ("template__name", "template__code")
    ordering = ("-id",)
    fields = (
        "template", "number", "slots_listed", "subject_shown", "mjml_shown", "text_shown", "digest", "created_by",
        "created_at",
    )  # fmt: skip
    readonly_fields = ("slots_listed", "subject_shown", "mjml_shown", "text_shown")

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
