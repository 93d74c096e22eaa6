import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0002_purposes")]

    operations = [
        migrations.CreateModel(
            name="ConsentLink",
            fields=[
                ("place", models.BigIntegerField(primary_key=True, serialize=False)),
                ("record_id", models.BigIntegerField(unique=True)),
                ("link", models.BinaryField(max_length=32)),
                ("linked_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="ConsentPending",
            fields=[
                (
                    "record",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="consent.consentrecord",
                    ),
                ),
            ],
        ),
        migrations.AddField("consentrecord", "confirmation", models.JSONField(blank=True, null=True)),
        migrations.AddField(
            "consentrecord", "gpc", models.BooleanField(blank=True, null=True, verbose_name="GPC signal")
        ),
        migrations.AddField(
            "consentrecord",
            "jurisdiction",
            models.CharField(blank=True, help_text="whose law applied: a country, or US-CA", max_length=10),
        ),
        migrations.AddField(
            "consentrecord",
            "lawful_basis",
            models.CharField(
                choices=[("consent", "consent"), ("contract", "contract"), ("legitimate", "legitimate interest")],
                default="consent",
                max_length=12,
            ),
        ),
        migrations.AddField("consentrecord", "locale", models.CharField(blank=True, max_length=20)),
        migrations.AddField(
            "consentrecord", "origin_digest", models.BinaryField(blank=True, default=b"", max_length=32)
        ),
        migrations.AddField("consentrecord", "policy_version", models.CharField(blank=True, max_length=40)),
        migrations.AddField("consentrecord", "seal", models.BinaryField(default=b"", editable=False, max_length=32)),
        migrations.AddField("consentrecord", "wording_digest", models.CharField(blank=True, max_length=64)),
        migrations.AlterField(
            "consentrecord",
            "method",
            models.CharField(
                choices=[
                    ("import", "import"),
                    ("preferences", "preference page"),
                    ("one_click", "one-click unsubscribe"),
                    ("staff", "by staff"),
                    ("api", "API"),
                    ("sign_up", "sign-up form"),
                    ("gpc", "signal of the browser (GPC)"),
                    ("platform", "consent platform"),
                ],
                max_length=16,
            ),
        ),
    ]
