import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Identifiers and keys are written by whoever holds their person, or makes them: no constraint looks them up again."""

    dependencies = [("profiles", "0019_changes_noted_once")]

    operations = [
        migrations.AlterField(
            "identifier",
            "profile",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="identifiers",
                to="profiles.profile",
            ),
        ),
        migrations.AlterField(
            "profilekey",
            "profile",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="keys",
                to="profiles.profile",
            ),
        ),
    ]
