from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("playbooks", "0012_stamps"),
    ]

    operations = [
        migrations.AddField(
            model_name="playbook",
            name="own_zone",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="the schedule's time where each person is, not all at once",
                verbose_name="at that time on each person's own wall",
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="wall",
            field=models.CharField(blank=True, db_default="", default="", max_length=16),
        ),
    ]
