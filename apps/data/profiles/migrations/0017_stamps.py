from django.db import migrations

from apps.foundation.core.stamps import stamping


class Migration(migrations.Migration):
    dependencies = [("profiles", "0016_candidates_and_kinds"), ("core", "0001_stamps")]
    operations = [
        migrations.RunSQL(*stamping("attributes", "profiles_attributedefinition")),
    ]
