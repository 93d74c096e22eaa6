from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("content", "0006_validity_of_block_versions"),
    ]

    operations = [
        migrations.AddField(
            model_name="brand",
            name="labels",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="what customers read where a model chose or wrote something: by label, then by language",
            ),
        ),
    ]
