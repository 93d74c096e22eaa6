from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("sending", "0009_pace"),
    ]

    operations = [
        migrations.CreateModel(
            name="Home",
            fields=[
                ("id", models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ("system_identifier", models.BigIntegerField(help_text="of the cluster")),
                ("database_oid", models.BigIntegerField(help_text="of the database in it")),
                (
                    "timeline",
                    models.IntegerField(
                        help_text="begun anew by a recovery to a point in time and by a promoted standby"
                    ),
                ),
                ("since", models.DateTimeField()),
                ("held_since", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="home_is_one")],
            },
        ),
    ]
