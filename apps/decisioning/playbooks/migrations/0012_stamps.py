from django.db import migrations

from apps.foundation.core.stamps import stamping


class Migration(migrations.Migration):
    dependencies = [("playbooks", "0011_placement"), ("core", "0001_stamps")]
    operations = [
        migrations.RunSQL(*stamping("published", "playbooks_playbookversion")),
    ]
