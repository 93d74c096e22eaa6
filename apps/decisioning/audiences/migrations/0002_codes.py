"""Codes by which rules name audiences, made of the names that there are."""

from typing import Any

from django.db import migrations, models
from django.utils.text import slugify


def codes_make(apps: Any, schema_editor: Any) -> None:
    """A code for each, in the order in which they were made."""
    taken: set[str] = set()
    for audience in apps.get_model("audiences", "Audience").objects.order_by("pk"):
        base = code = slugify(audience.name)[:52].strip("-") or "audience"
        number = 2
        while code in taken:
            code, number = f"{base}-{number}", number + 1
        taken.add(code)
        audience.code = code
        audience.save(update_fields=["code"])


class Migration(migrations.Migration):
    dependencies = [("audiences", "0001_initial")]

    operations = [
        migrations.AddField(
            "audience",
            "code",
            models.CharField(editable=False, max_length=60, null=True),
        ),
        migrations.RunPython(codes_make, migrations.RunPython.noop),
        migrations.AlterField(
            "audience",
            "code",
            models.SlugField(
                editable=False,
                max_length=60,
                unique=True,
                help_text="made of its first name, and never changed: rules name it",
            ),
        ),
    ]
