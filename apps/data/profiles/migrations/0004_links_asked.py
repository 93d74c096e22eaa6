from django.db import migrations, models

import apps.foundation.core.clock


class Migration(migrations.Migration):
    """Links that are asked for by typing an address in."""

    dependencies = [("profiles", "0003_profile_keys")]

    operations = [
        migrations.CreateModel(
            name="LinkAsked",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.BinaryField(max_length=33)),
                ("asked_at", models.DateTimeField(default=apps.foundation.core.clock.now)),
            ],
        ),
    ]
