"""A review's path was a flat list of roles in any order: one step."""

from typing import Any

from django.db import migrations


def steps_make(apps: Any, schema_editor: Any) -> None:
    review = apps.get_model("governance", "Review")
    for row in review.objects.iterator():
        if row.path and not isinstance(row.path[0], list):
            review.objects.filter(pk=row.pk).update(path=[row.path])


def steps_flatten(apps: Any, schema_editor: Any) -> None:
    review = apps.get_model("governance", "Review")
    for row in review.objects.iterator():
        if row.path and isinstance(row.path[0], list):
            review.objects.filter(pk=row.pk).update(path=[role for step in row.path for role in step])


class Migration(migrations.Migration):
    dependencies = [("governance", "0002_workflow_paths_and_notices")]
    operations = [migrations.RunPython(steps_make, steps_flatten)]
