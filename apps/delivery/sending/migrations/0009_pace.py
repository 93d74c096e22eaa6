from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("sending", "0008_priority_and_hours_of_dispatch"),
    ]

    operations = [
        migrations.AddField(
            model_name="dispatch",
            name="per_minute",
            field=models.PositiveIntegerField(help_text="messages at most; none: as fast as it goes", null=True),
        ),
        migrations.CreateModel(
            name="Allowance",
            fields=[
                (
                    "key",
                    models.CharField(
                        help_text="run:ID, provider:NAME or domain:NAME",
                        max_length=300,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "tokens",
                    models.FloatField(help_text="messages that may go at once; below 0: more went than may"),
                ),
                ("filled_at", models.DateTimeField()),
                ("day", models.DateField(help_text="of UTC")),
                ("day_count", models.PositiveIntegerField(help_text="messages of that day")),
                (
                    "held_until",
                    models.DateTimeField(help_text="claims pass its messages over until then", null=True),
                ),
                (
                    "turn_at",
                    models.DateTimeField(help_text="the last turn that was given to a message which waits", null=True),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["filled_at"], name="allowance_to_forget")],
            },
        ),
    ]
