import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Deciding for somebody does not look them up once more at the commit: profiles are never removed."""

    dependencies = [
        ("decisions", "0011_forget_decisions"),
        ("profiles", "0021_identifiers_by_hash"),
    ]

    operations = [
        migrations.AlterField(
            model_name="decision",
            name="profile",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="decisions",
                to="profiles.profile",
            ),
        ),
    ]
