"""What content tells governance: how blocks and templates are approved, compared, shown and brought back."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apps.foundation.accounts.models import User
from apps.foundation.core.errors import DomainError
from apps.foundation.governance.history import Kept, VersionRows, actors_since_published, flattened
from apps.foundation.governance.registry import Looks, Workflow, history_register, workflow_register

from . import services
from .checking import STAND_IN
from .children import apart
from .compiling import TemplateSource
from .contracts import BrandSpec, block_digest, template_digest
from .fields import fields_read, values_of
from .models import Block, BlockType, BlockVersion, Brand, Template, TemplateVersion
from .previews import PERSONAS, Preview, block_preview, template_preview
from .selectors import brand_spec
from .services.blocks import VersionFacts
from .tables import language_title
from .template_tests import template_publish_problems


def _brand() -> Any:
    brand = Brand.objects.order_by("pk").first()
    return brand_spec(brand) if brand is not None else None


def _shown(title: str, preview: Preview) -> Looks:
    return Looks(title, preview.html, preview.text, "; ".join(str(problem) for problem in preview.problems))


# --- blocks ---


def block_version_digest(version: BlockVersion) -> str:
    """The digest of a version of a block as it is stored now."""
    return block_digest(
        version.content,
        version.fields,
        version.layout,
        version.text_layout,
        valid_from=version.valid_from,
        valid_until=version.valid_until,
        written_by_model=version.written_by_model,
    )


def _block_authors(version: BlockVersion) -> set[int]:
    return actors_since_published(
        version.block, ("content.block.created", "content.block.changed", "content.block.version_made")
    )


def block_values(version: BlockVersion) -> dict[str, str]:
    """What a version of a block says, by language and field, and how it is laid out."""
    fields = fields_read(version.fields, [])
    found: dict[str, str] = {}
    for language, own in version.content.items():
        for field in fields:
            if field.kind != "products":
                value = values_of(fields, own, language)[field.name]
                found[f"{language_title(language)}: {field.label}"] = "" if value is None else str(value)
    return {
        **found,
        "Valid from": _moment(version.valid_from),
        "Valid until": _moment(version.valid_until),
        "Written by a model": "yes" if version.written_by_model else "no",
        "Layout": version.layout,
        "Text layout": version.text_layout,
    }


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def block_looks(version: BlockVersion) -> list[Looks]:
    """A version of a block in each of its languages."""
    brand, looks = _brand(), []
    for language in version.content:
        title = language_title(language)
        try:
            preview = apart(
                block_preview,
                name=version.block.name,
                fields=fields_read(version.fields, []),
                layout=version.layout,
                text_layout=version.text_layout,
                content=version.content,
                language=language,
                persona=PERSONAS[0],
                brand=brand,
            )
        except DomainError as error:
            looks.append(Looks(title, problem=error.message))
        else:
            looks.append(_shown(title, preview))
    return looks


def _block_revert(version: BlockVersion, by: User, why: str) -> str:
    fixed = {field.name for field in fields_read(version.block.type.fields, []) if field.fixed}
    content = {
        language: {name: value for name, value in values.items() if name not in fixed}
        for language, values in version.content.items()
    }
    made = services.block_version_create(
        block_id=version.block_id,
        content=content,
        by=by,
        facts=VersionFacts(version.valid_from, version.valid_until, version.written_by_model),
        why=f"Back to v{version.number}. {why}".strip(),
    )
    return f"{made} says again what v{version.number} said. It is a draft: ask for approval."


# --- templates ---


def template_version_digest(version: TemplateVersion) -> str:
    """The digest of a version of a template as it is stored now."""
    return template_digest(
        version.subject, version.mjml, version.text, arrangement=version.arrangement, cases=version.cases
    )


def _template_authors(version: TemplateVersion) -> set[int]:
    return actors_since_published(
        version.template, ("content.template.created", "content.template.changed", "content.template.version_made")
    )


def template_values(version: TemplateVersion) -> dict[str, str]:
    """The sources of a version of a template."""
    return {
        "Subject": version.subject,
        "MJML": version.mjml,
        "Plain text": version.text,
        "Slots": ", ".join(version.slots),
        **flattened(version.arrangement, "Tests, arrangement"),
        **flattened(version.cases, "Tests, cases"),
    }


def template_looks(version: TemplateVersion) -> list[Looks]:
    """A version of a template with a plain block in each slot, for an invented person."""
    brand = _brand()
    template = TemplateSource(
        version.template.name, version.subject, version.mjml, version.text, version.template.channel
    )
    language = (brand or STAND_IN)["default_language"]
    try:
        preview = apart(
            template_preview,
            template=template,
            slots=tuple(version.slots),
            language=language,
            persona=PERSONAS[0],
            brand=brand,
        )
    except DomainError as error:
        return [Looks("With plain blocks", problem=error.message)]
    return [_shown("With plain blocks", preview)]


def _template_revert(version: TemplateVersion, by: User, why: str) -> str:
    made = services.template_version_create(
        template_id=version.template_id,
        subject=version.subject,
        mjml=version.mjml,
        text=version.text,
        by=by,
        why=f"Back to v{version.number}. {why}".strip(),
    )
    return f"{made} has the sources of v{version.number} again; its tests stay as they are. It is a draft."


def _template_problems(version: TemplateVersion) -> list[str]:
    return [str(problem) for problem in template_publish_problems(version)]


# --- what has no drafts: its history alone ---


def _brand_revert(brand: Brand, values: Mapping[str, Any], by: User, why: str) -> str:
    own = {name: value for name, value in values.items() if name in BrandSpec.__annotations__ and name != "code"}
    services.brand_update(brand_id=brand.pk, by=by, why=why, **own)
    return f"{brand} is as it was. What is published keeps the brand it was approved with."


def _type_revert(block_type: BlockType, values: Mapping[str, Any], by: User, why: str) -> str:
    kept = {name: values[name] for name in ("name", "description", "fields", "layout", "text_layout")}
    services.block_type_update(block_type_id=block_type.pk, by=by, why=why, **kept)
    return f"{block_type} is as it was. Blocks take it up when they are saved."


def governing_register() -> None:
    """Opt in. Called once, when Django is ready."""
    workflow_register(
        Workflow(
            code="block",
            head=Block,
            version=BlockVersion,
            link="block",
            digest=block_version_digest,
            authors=_block_authors,
            tags=lambda version: version.block.tags,
            values=block_values,
            revert=_block_revert,
            looks=block_looks,
        )
    )
    workflow_register(
        Workflow(
            code="template",
            head=Template,
            version=TemplateVersion,
            link="template",
            digest=template_version_digest,
            authors=_template_authors,
            tags=lambda version: (),
            problems=_template_problems,
            values=template_values,
            revert=_template_revert,
            looks=template_looks,
        )
    )
    history_register(Block, VersionRows())
    history_register(Template, VersionRows())
    history_register(Brand, Kept(Brand, revert=_brand_revert, leave=("updated_at",)))
    history_register(BlockType, Kept(BlockType, revert=_type_revert, leave=("updated_at",)))
