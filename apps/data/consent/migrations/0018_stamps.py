from django.db import migrations

from apps.foundation.core.stamps import stamping


class Migration(migrations.Migration):
    dependencies = [("consent", "0017_identifier_kinds"), ("core", "0001_stamps")]
    operations = [
        migrations.RunSQL(*stamping("purposes", "consent_purpose")),
    ]
