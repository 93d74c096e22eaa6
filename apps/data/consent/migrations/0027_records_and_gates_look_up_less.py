import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """What few records have is indexed for those alone, and who makes a gate looks itself whether there is its person."""

    dependencies = [
        ("consent", "0026_newest_domain_of_traps"),
        ("profiles", "0020_fewer_look_ups"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveIndex(model_name="consentstate", name="consent_state_of_purpose"),
        migrations.AlterField(
            "consentrecord",
            "actor",
            models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            "consentrecord",
            "wording_version",
            models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="consent.wordingversion",
            ),
        ),
        migrations.AlterField(
            "gate",
            "profile",
            models.OneToOneField(
                db_constraint=False,
                on_delete=django.db.models.deletion.CASCADE,
                primary_key=True,
                related_name="gate",
                serialize=False,
                to="profiles.profile",
            ),
        ),
        migrations.AddIndex(
            "consentrecord",
            models.Index(
                models.F("actor"),
                condition=models.Q(("actor", None), _negated=True),
                name="consent_record_of_actor",
            ),
        ),
        migrations.AddIndex(
            "consentrecord",
            models.Index(
                models.F("wording_version"),
                condition=models.Q(("wording_version", None), _negated=True),
                name="consent_record_of_wording",
            ),
        ),
    ]
