from django.db import migrations

_INDEX = "CREATE INDEX consent_suppression_domains ON consent_suppression (id) WHERE kind = 'domain'"


class Migration(migrations.Migration):
    """Whether any domain of traps is known is asked for each batch at the gate: not by reading all suppressions."""

    dependencies = [("consent", "0023_records_by_the_gate")]

    operations = [migrations.RunSQL(_INDEX, "DROP INDEX consent_suppression_domains")]
