import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """What grants and opt-outs write is found by other indexes, which begin with the person; and what was written by the
    same statement is not looked up."""

    dependencies = [("consent", "0019_address_verdicts"), ("profiles", "0013_change_triggers")]

    operations = [
        migrations.AlterField(
            "consentrecord",
            "profile",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="consent_records",
                to="profiles.profile",
            ),
        ),
        migrations.AlterField(
            "consentrecord",
            "purpose",
            models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, to="consent.purpose"),
        ),
        migrations.AlterField(
            "consentstate",
            "profile",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="consent_states",
                to="profiles.profile",
            ),
        ),
        migrations.AlterField(
            "consentstate",
            "purpose",
            models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, to="consent.purpose"),
        ),
        migrations.AlterField(
            "consentstate",
            "record",
            models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="consent.consentrecord",
            ),
        ),
        migrations.AlterField(
            "consentpending",
            "record",
            models.OneToOneField(
                db_constraint=False,
                on_delete=django.db.models.deletion.CASCADE,
                primary_key=True,
                related_name="+",
                serialize=False,
                to="consent.consentrecord",
            ),
        ),
    ]
