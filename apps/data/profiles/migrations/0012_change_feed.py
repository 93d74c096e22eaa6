from django.db import migrations, models


class Migration(migrations.Migration):
    """The feed of changes, and what waits for its place in it."""

    dependencies = [("profiles", "0011_attributes_seen")]

    operations = [
        migrations.CreateModel(
            name="Change",
            fields=[
                ("position", models.BigIntegerField(primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[("profile", "what is known of a person"), ("consent", "what a person agreed to")],
                        max_length=8,
                    ),
                ),
                ("profile_id", models.BigIntegerField()),
                ("purpose", models.CharField(blank=True, max_length=32)),
                ("channel", models.CharField(blank=True, max_length=8)),
                ("granted", models.BooleanField(null=True)),
                ("version", models.BigIntegerField()),
                ("at", models.DateTimeField()),
            ],
            options={"default_permissions": ()},
        ),
        migrations.CreateModel(
            name="ChangeMark",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reached", models.BigIntegerField(default=0)),
                ("forgotten", models.BigIntegerField(default=0)),
            ],
            options={"default_permissions": ()},
        ),
        migrations.CreateModel(
            name="ChangePending",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=8)),
                ("profile_id", models.BigIntegerField()),
                ("purpose", models.CharField(blank=True, db_default="", default="", max_length=32)),
                ("channel", models.CharField(blank=True, db_default="", default="", max_length=8)),
                ("granted", models.BooleanField(null=True)),
                ("version", models.BigIntegerField(null=True)),
            ],
            options={"default_permissions": ()},
        ),
    ]
