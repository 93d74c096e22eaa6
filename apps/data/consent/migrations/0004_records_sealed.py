"""Seals the records that were written before there were seals; beat links them after that."""

from django.conf import settings
from django.db import migrations

from apps.data.consent.ledger import FIRST_SEALED, seal_first

BATCH = 2_000


def records_seal(apps, schema_editor):
    records = apps.get_model("consent", "ConsentRecord").objects
    pending = apps.get_model("consent", "ConsentPending").objects
    last = 0
    while rows := list(records.filter(pk__gt=last).order_by("pk").values("pk", *FIRST_SEALED)[:BATCH]):
        for row in rows:
            records.filter(pk=row["pk"]).update(seal=seal_first(settings.LEDGER_KEY, row))
        pending.bulk_create((pending.model(record_id=row["pk"]) for row in rows), ignore_conflicts=True)
        last = rows[-1]["pk"]


class Migration(migrations.Migration):
    dependencies = [("consent", "0003_ledger_chain")]

    operations = [migrations.RunPython(records_seal, migrations.RunPython.noop)]
