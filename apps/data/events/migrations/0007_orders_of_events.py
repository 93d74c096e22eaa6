"""What events told of an order, and the schema of the one of Segment's order events that was missing."""

from typing import Any

from django.db import migrations, models


def schema_add(apps: Any, schema_editor: Any) -> None:
    """Order Updated looks as Order Completed does."""
    schema = apps.get_model("events", "EventSchema")
    version = apps.get_model("events", "EventSchemaVersion")
    made, new = schema.objects.get_or_create(
        name="Order Updated", defaults={"aliases": ["Updated Order", "order_updated"], "on_fault": "keep"}
    )
    like = version.objects.filter(schema__name="Order Completed", number=1).first()
    if new and like is not None:
        version.objects.create(schema=made, number=1, document=like.document)


class Migration(migrations.Migration):
    dependencies = [("events", "0006_support_tickets")]

    operations = [
        migrations.AddField("order", "told", models.JSONField(blank=True, editable=False, null=True)),
        migrations.RunPython(schema_add, migrations.RunPython.noop),
    ]
