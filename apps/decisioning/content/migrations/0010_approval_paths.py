"""The approval paths to begin with. Administrators change them; what is there already stays."""

from typing import Any

from django.db import migrations
from django.utils import timezone

PATHS = [
    ("Everything: the brand", "", [["brand_approver"]]),
    ("Offers: the law too", "offer", [["legal_approver"]]),
]
"""Name, tag ("" for any), steps."""


def paths_add(apps: Any, schema_editor: Any) -> None:
    path = apps.get_model("governance", "ApprovalPath")
    for name, tag, steps in PATHS:
        path.objects.get_or_create(name=name, defaults={"tag": tag, "steps": steps, "updated_at": timezone.now()})


class Migration(migrations.Migration):
    dependencies = [
        ("content", "0009_versions_say_why"),
        ("governance", "0003_paths_have_steps"),
    ]
    operations = [migrations.RunPython(paths_add, migrations.RunPython.noop)]
