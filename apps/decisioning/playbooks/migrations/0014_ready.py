import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """What was made ahead of a send, and how much of it a send found."""

    dependencies = [("playbooks", "0013_own_wall")]

    operations = [
        migrations.AddField(
            model_name="runbatch",
            name="chosen",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="runbatch",
            name="ready",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name="Preparation",
            fields=[
                (
                    "playbook",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="preparation",
                        serialize=False,
                        to="playbooks.playbook",
                    ),
                ),
                ("began_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField()),
                ("people", models.PositiveIntegerField(default=0)),
                ("choices", models.PositiveIntegerField(default=0)),
                ("done", models.BooleanField(default=False)),
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
            options={"default_permissions": ()},
        ),
    ]
