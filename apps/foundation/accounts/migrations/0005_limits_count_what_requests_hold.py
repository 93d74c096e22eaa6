"""The limit of a client says what it counts."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_stamps")]

    operations = [
        migrations.AlterField(
            model_name="apiclient",
            name="per_minute",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="requests, events and rows, in each scope; empty: what the installation allows",
                null=True,
                verbose_name="at most a minute",
            ),
        ),
    ]
