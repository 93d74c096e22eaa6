import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Taking a decision up does not look its person up once more at the commit: profiles are never removed."""

    dependencies = [
        ("profiles", "0021_identifiers_by_hash"),
        ("sending", "0012_figures_of_large_runs"),
    ]

    operations = [
        migrations.AlterField(
            model_name="message",
            name="profile",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="messages",
                to="profiles.profile",
            ),
        ),
    ]
