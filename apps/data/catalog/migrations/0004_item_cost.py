from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog", "0003_stamps")]
    operations = [
        migrations.AddField(
            model_name="item",
            name="cost",
            field=models.DecimalField(
                blank=True,
                decimal_places=4,
                help_text="what the shop pays for one; never shown",
                max_digits=14,
                null=True,
            ),
        ),
    ]
