from django.db import migrations

from apps.foundation.core.stamps import stamping


class Migration(migrations.Migration):
    dependencies = [("recommendations", "0002_editorial_picks"), ("core", "0001_stamps")]
    operations = [
        migrations.RunSQL(*stamping("recommendations", "recommendations_recommendationset")),
    ]
