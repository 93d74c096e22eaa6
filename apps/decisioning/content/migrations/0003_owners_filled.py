from typing import Any

from django.conf import settings
from django.db import migrations

_CREATED = {"brand": "content.brand.created", "blocktype": "content.block_type.created"}


def owners_fill(apps: Any, schema_editor: Any) -> None:
    """Each brand and block type belongs to who made it, as the audit log knows.

    Where that person is gone: to the first superuser, else the first administrator, else the first member of staff.
    """
    audit = apps.get_model("governance", "AuditEntry")
    staff = apps.get_model(settings.AUTH_USER_MODEL).objects.order_by("pk")
    working = staff.filter(is_active=True, is_staff=True)
    first = (
        working.filter(is_superuser=True).first()
        or working.filter(groups__name="administrator").first()
        or working.first()
        or staff.first()
    )
    for model, action in _CREATED.items():
        for row in apps.get_model("content", model).objects.filter(owner=None):
            made = audit.objects.filter(
                action=action, object_id=str(row.pk), content_type__app_label="content", content_type__model=model
            )
            maker = working.filter(pk__in=made.values("actor")).first()
            if (maker or first) is None:
                raise RuntimeError("Brands and block types need an owner: run manage.py createsuperuser, then migrate")
            row.owner = maker or first
            row.save(update_fields=["owner"])


class Migration(migrations.Migration):
    """Brands and block types that were there get their owner."""

    dependencies = [
        ("content", "0002_markets_and_owners"),
        ("governance", "0001_initial"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("auth", "0012_alter_user_first_name_max_length"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [migrations.RunPython(owners_fill, migrations.RunPython.noop)]
