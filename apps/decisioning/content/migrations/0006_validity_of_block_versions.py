from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("content", "0005_personas"),
    ]

    operations = [
        migrations.AddField(
            model_name="blockversion",
            name="valid_from",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="blockversion",
            name="valid_until",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="blockversion",
            name="written_by_model",
            field=models.BooleanField(default=False),
        ),
        migrations.AddConstraint(
            model_name="blockversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("valid_from__isnull", True),
                    ("valid_until__isnull", True),
                    ("valid_from__lt", models.F("valid_until")),
                    _connector="OR",
                ),
                name="block_version_begins_before_it_ends",
            ),
        ),
    ]
