from django.db import migrations, models


class Migration(migrations.Migration):
    """Only sealed values stay. There is no way back: nothing else knows the values."""

    dependencies = [("profiles", "0006_seal_identifiers")]

    operations = [
        migrations.AlterField(
            model_name="identifier",
            name="sealed",
            field=models.BinaryField(help_text="the normalized value, for `addresses.place_of`"),
        ),
        migrations.RemoveField(model_name="identifier", name="value"),
    ]
