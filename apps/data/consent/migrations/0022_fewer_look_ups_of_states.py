import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """What holds is written with its record, which knows the person: they are not looked up twice; and what holds is
    never looked for by its record, nor by the beginning of a purpose."""

    dependencies = [("consent", "0021_preferences_in_the_feed")]

    operations = [
        migrations.AlterField(
            "consentstate",
            "profile",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="consent_states",
                to="profiles.profile",
            ),
        ),
        migrations.AlterField(
            "consentstate",
            "purpose",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                to="consent.purpose",
            ),
        ),
        migrations.AlterField(
            "consentstate",
            "record",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="consent.consentrecord",
            ),
        ),
        migrations.AddIndex("consentstate", models.Index(fields=["purpose"], name="consent_state_of_purpose")),
    ]
