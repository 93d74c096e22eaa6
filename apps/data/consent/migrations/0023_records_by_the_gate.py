import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Whoever writes a record holds the gate of its person, and its purpose: no constraint looks them up again."""

    dependencies = [("consent", "0022_fewer_look_ups_of_states"), ("profiles", "0020_fewer_look_ups")]

    operations = [
        migrations.AlterField(
            "consentrecord",
            "profile",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="consent_records",
                to="profiles.profile",
            ),
        ),
        migrations.AlterField(
            "consentrecord",
            "purpose",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                to="consent.purpose",
            ),
        ),
    ]
