import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("console", "0002_people_who_would_get_a_message"),
        ("profiles", "0003_profile_keys"),
    ]

    operations = [
        migrations.AddField(
            model_name="testsend",
            name="profile",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="profiles.profile",
            ),
        ),
        migrations.AddField(
            model_name="testsend",
            name="sealed",
            field=models.BinaryField(default=b""),
        ),
        migrations.AlterField(
            model_name="testsend",
            name="inputs",
            field=models.JSONField(default=dict),
        ),
    ]
