from django.db import migrations

_BY_NUMBER = "CREATE INDEX consent_suppression_domains ON consent_suppression (id) WHERE kind = 'domain'"
_BY_MOMENT = "CREATE INDEX consent_suppression_domains ON consent_suppression (created_at) WHERE kind = 'domain'"
_DROP = "DROP INDEX consent_suppression_domains"


class Migration(migrations.Migration):
    """The gate asks for the newest domain of traps, and how many there are: whether what it remembers still holds."""

    dependencies = [("consent", "0025_versions_of_preferences")]

    operations = [migrations.RunSQL([_DROP, _BY_MOMENT], [_DROP, _BY_NUMBER])]
