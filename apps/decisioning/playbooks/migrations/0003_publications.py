"""What was published before publications were rows: versions of playbooks, and what the live ones use.

Blocks and templates had no publishing of their own; those of a playbook that is live were agreed to as parts of it,
so they are live too, since then. Others are drafts, to be approved.
"""

from typing import Any

from django.db import migrations


def _kind(apps: Any, app: str, model: str) -> Any:
    return apps.get_model("contenttypes", "ContentType").objects.get_or_create(app_label=app, model=model)[0]


def _pinned(data: Any) -> set[int]:
    if isinstance(data, dict):
        own = {data["block_version"]} if isinstance(data.get("block_version"), int) else set()
        return own.union(*(_pinned(value) for value in data.values()))
    return set().union(*(_pinned(value) for value in data)) if isinstance(data, list) else set()


def publications_add(apps: Any, schema_editor: Any) -> None:
    publication = apps.get_model("governance", "Publication")
    audit = apps.get_model("governance", "AuditEntry")
    version_model = apps.get_model("playbooks", "PlaybookVersion")
    versions = version_model.objects.exclude(published_at=None).exclude(published_by=None)
    if not versions.exists():
        return
    of_playbook, of_version = _kind(apps, "playbooks", "playbook"), _kind(apps, "playbooks", "playbookversion")
    if publication.objects.filter(content_type=of_playbook).exists():
        return
    withdrawn = dict(
        audit.objects.filter(content_type=of_version, action="playbooks.version.withdrawn")
        .order_by("at")
        .values_list("object_id", "at")
    )
    following: dict[int, Any] = {}
    for version in versions.order_by("-published_at", "-pk"):
        ends = [moment for moment in (following.get(version.playbook_id), withdrawn.get(str(version.pk))) if moment]
        following[version.playbook_id] = version.published_at
        publication.objects.create(
            content_type=of_playbook,
            head_id=version.playbook_id,
            version_id=version.pk,
            digest=version.digest,
            live_from=version.published_at,
            live_until=None if version.state == "published" else min(ends, default=version.published_at),
            published_by_id=version.published_by_id,
        )
    _parts(apps, publication, versions.filter(state="published").order_by("published_at"))


def _parts(apps: Any, publication: Any, live: Any) -> None:
    for model, head, used in (
        ("BlockVersion", "block", lambda spec: _pinned(spec)),
        ("TemplateVersion", "template", lambda spec: {spec["template_version"]}),
    ):
        newest: dict[int, tuple[Any, Any]] = {}
        for version in live:
            for part in apps.get_model("content", model).objects.filter(pk__in=used(version.spec)):
                head_id = getattr(part, f"{head}_id")
                if head_id not in newest or newest[head_id][0].number < part.number:
                    newest[head_id] = part, version
        for head_id, (part, version) in newest.items():
            publication.objects.create(
                content_type=_kind(apps, "content", head),
                head_id=head_id,
                version_id=part.pk,
                digest=part.digest,
                live_from=version.published_at,
                published_by_id=version.published_by_id,
            )


class Migration(migrations.Migration):
    dependencies = [
        ("playbooks", "0002_follow_people_through_steps"),
        ("content", "0010_approval_paths"),
        ("governance", "0003_paths_have_steps"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(publications_add, migrations.RunPython.noop)]
