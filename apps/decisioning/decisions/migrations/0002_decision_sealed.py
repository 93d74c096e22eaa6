"""Where a decision keeps, sealed, what it was made with and why."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("decisions", "0001_initial")]
    operations = [
        migrations.AddField(
            model_name="decision",
            name="sealed",
            field=models.BinaryField(default=b"", help_text="inputs and reasons, sealed with the person's key"),
            preserve_default=False,
        ),
    ]
