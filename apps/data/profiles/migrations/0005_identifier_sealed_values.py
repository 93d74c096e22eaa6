from django.db import migrations, models


class Migration(migrations.Migration):
    """A place for sealed values beside the clear ones, which go once all are sealed."""

    dependencies = [("profiles", "0004_links_asked")]

    operations = [
        migrations.AddField(
            model_name="identifier", name="sealed", field=models.BinaryField(null=True, editable=False)
        ),
        migrations.AlterField(model_name="identifier", name="digest", field=models.BinaryField(max_length=33)),
    ]
