"""Audiences that are watched, and who was in them when they were last looked at."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audiences", "0002_codes"), ("profiles", "0009_key_rotations")]

    operations = [
        migrations.AddField(
            "audience",
            "watched",
            models.BooleanField(
                "tell who enters and leaves",
                default=False,
                help_text="as events: “Audience Entered” and “Audience Exited”, every few minutes",
            ),
        ),
        migrations.AddField("audience", "looked_at", models.DateTimeField(blank=True, editable=False, null=True)),
        migrations.AddField("audience", "looked_rule", models.JSONField(blank=True, editable=False, null=True)),
        migrations.CreateModel(
            name="AudienceMember",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("since", models.DateTimeField()),
                (
                    "audience",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="members",
                        to="audiences.audience",
                    ),
                ),
                (
                    "profile",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="profiles.profile"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("audience", "profile"), name="audience_member_once")],
            },
        ),
    ]
