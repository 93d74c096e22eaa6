"""An index by which rules over everybody find the days of a name."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("features", "0002_tally_what_was_recorded")]

    operations = [
        migrations.AddIndex("eventday", models.Index(fields=["name_id", "day"], name="event_day_of_name")),
    ]
