import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """What was made ahead is told of each message. What was told before goes: a new release uses nothing of it."""

    dependencies = [("playbooks", "0014_ready")]

    operations = [
        migrations.DeleteModel(name="Preparation"),
        migrations.CreateModel(
            name="Preparation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("step", models.CharField(blank=True, db_default="", default="", max_length=40)),
                ("began_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField()),
                ("people", models.PositiveIntegerField(default=0)),
                ("choices", models.PositiveIntegerField(default=0)),
                ("done", models.BooleanField(default=False)),
                (
                    "playbook",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="preparations",
                        to="playbooks.playbook",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="playbooks.playbookversion",
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("version", "step"), name="preparation_of_message_once")
                ],
            },
        ),
    ]
