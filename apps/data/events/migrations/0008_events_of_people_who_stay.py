import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """The person of an event is not looked up once more for each: whoever writes it holds them already."""

    dependencies = [("events", "0007_orders_of_events")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE events_event DROP CONSTRAINT event_of_a_profile",
                    "ALTER TABLE events_event ADD CONSTRAINT event_of_a_profile"
                    " FOREIGN KEY (profile_id) REFERENCES profiles_profile (id) DEFERRABLE INITIALLY DEFERRED",
                )
            ],
            state_operations=[
                migrations.AlterField(
                    "event",
                    "profile",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="events",
                        to="profiles.profile",
                    ),
                )
            ],
        )
    ]
