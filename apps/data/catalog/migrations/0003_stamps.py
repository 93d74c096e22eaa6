from django.db import migrations

from apps.foundation.core.stamps import stamping


class Migration(migrations.Migration):
    dependencies = [("catalog", "0002_promotions"), ("core", "0001_stamps")]
    operations = [
        migrations.RunSQL(*stamping("catalog", "catalog_item")),
    ]
