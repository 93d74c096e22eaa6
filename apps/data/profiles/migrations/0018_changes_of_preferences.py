"""The feed of changes has room for preferences."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("profiles", "0017_stamps")]

    operations = [
        migrations.AlterField(
            model_name="change",
            name="kind",
            field=models.CharField(
                choices=[
                    ("profile", "what is known of a person"),
                    ("consent", "what a person agreed to"),
                    ("preference", "what a person chose beside it"),
                ],
                max_length=12,
            ),
        ),
        migrations.AlterField(model_name="changepending", name="kind", field=models.CharField(max_length=12)),
    ]
