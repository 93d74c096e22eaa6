"""What playbooks tell governance: how they are approved, compared and brought back, and which blocks they use."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from django.urls import reverse

from apps.decisioning.audiences.models import Audience
from apps.decisioning.content.models import Block, BlockVersion, Brand, Template, TemplateVersion
from apps.foundation.accounts.models import User
from apps.foundation.core.errors import Conflict
from apps.foundation.governance.history import Kept, VersionRows, flattened
from apps.foundation.governance.registry import Use, Workflow, history_register, uses_register, workflow_register

from . import services
from .models import Playbook, PlaybookVersion
from .specs import block_versions_pinned, template_versions_pinned, version_digest
from .system_mail import mail_published

_OWN = ("id", "published", "published_id", "editors", "schedule_seen_at", "created_at", "updated_at", "code")


def _tags(version: PlaybookVersion) -> set[str]:
    """The tags of all blocks that it uses are its tags."""
    blocks = Block.objects.filter(versions__in=block_versions_pinned(version.spec)).distinct()
    return {tag for block in blocks for tag in block.tags}


def _mail_taken(version: PlaybookVersion) -> list[str]:
    """Another playbook that is this system mail already: there is one of each, so that nobody gets two."""
    if not version.mail_kind or version.state != PlaybookVersion.State.APPROVED:  # who hands in may yet withdraw it
        return []
    other = mail_published(version.mail_kind)
    if other is None or other.playbook_id == version.playbook_id:
        return []
    return [f"{other} is published as this system mail already: withdraw that first"]


def _values(version: PlaybookVersion) -> dict[str, str]:
    """Its spec by places, with the versions it pins by their names."""
    names = {
        row.pk: str(row)
        for row in BlockVersion.objects.select_related("block").filter(pk__in=block_versions_pinned(version.spec))
    }
    templates = TemplateVersion.objects.select_related("template")
    used = {row.pk: str(row) for row in templates.filter(pk__in=template_versions_pinned(version.spec))}
    named = _named(version.spec, names, used)
    return flattened(named)


def _named(data: Any, blocks: Mapping[int, str], templates: Mapping[int, str]) -> Any:
    if isinstance(data, dict):
        named = {"block_version": blocks, "template_version": templates}
        return {
            name: named[name].get(value, value) if name in named else _named(value, blocks, templates)
            for name, value in data.items()
        }
    return [_named(value, blocks, templates) for value in data] if isinstance(data, list) else data


def _version_revert(version: PlaybookVersion, by: User, why: str) -> str:
    """The draft becomes what it was when the version was handed in; what it uses is meant as it is now."""
    key = _DRAFTS.key_at(version.playbook, version.created_at)
    if key is None:
        raise Conflict("revert_draft_unknown", f"{version} is older than the history of drafts: enter it again by hand")
    values = _DRAFTS.kept(version.playbook, key)
    _draft_revert(version.playbook, values, by, f"Back to v{version.number}. {why}".strip())
    return f"The draft is as v{version.number} was, with its blocks, template and audience as they are now."


def _draft_revert(playbook: Playbook, values: Mapping[str, Any], by: User, why: str) -> str:
    models: dict[str, Any] = {"audience_id": Audience, "brand_id": Brand, "template_id": Template, "owner_id": User}
    known = {name: value for name, value in values.items() if name not in _OWN}
    fields: dict[str, Any] = {}
    for name, value in known.items():
        model = models.get(name)
        if model is None:
            fields[name.removesuffix("_id")] = value
            continue
        row = model._default_manager.filter(pk=value).first()
        if row is None:
            raise Conflict("revert_parts_gone", f"It used {model._meta.verbose_name} {value}, which is gone")
        if name != "owner_id":  # whose it is now stays
            fields[name.removesuffix("_id")] = row
    _update(playbook.pk, fields, by, why)
    return "The draft is as it was then. Ask for approval."


def _update(playbook_id: int, values: dict[str, Any], by: User, why: str) -> None:
    services.playbook_update(playbook_id=playbook_id, by=by, why=why, **cast("services.PlaybookFields", values))


def _of_block(block: Block) -> list[Use]:
    versions = set(block.versions.values_list("pk", flat=True))
    return [_use(playbook) for playbook, spec in _live() if versions & block_versions_pinned(spec)]


def _of_template(template: Template) -> list[Use]:
    versions = set(template.versions.values_list("pk", flat=True))
    return [_use(playbook) for playbook, spec in _live() if versions & template_versions_pinned(spec)]


def _live() -> Iterator[tuple[Playbook, dict[str, Any]]]:
    for playbook in Playbook.objects.exclude(published=None).select_related("published"):
        if playbook.published is not None:
            yield playbook, playbook.published.spec


def _use(playbook: Playbook) -> Use:
    return Use(str(playbook.published), reverse("admin:playbooks_playbook_change", args=[playbook.pk]))


_DRAFTS = Kept(Playbook, revert=_draft_revert, leave=_OWN, label="draft saved")


def governing_register() -> None:
    """Opt in. Called once, when Django is ready."""
    workflow_register(
        Workflow(
            code="playbook",
            head=Playbook,
            version=PlaybookVersion,
            link="playbook",
            digest=version_digest,
            authors=services.version_authors,
            tags=_tags,
            steps=lambda version: [version.spec["approval_path"]],
            problems=_mail_taken,
            published=services.version_published,
            withdrawn=services.version_withdrawn,
            values=_values,
            revert=_version_revert,
            state_field="state",
        )
    )
    history_register(Playbook, VersionRows(), _DRAFTS)
    uses_register(Block, _of_block)
    uses_register(Template, _of_template)
