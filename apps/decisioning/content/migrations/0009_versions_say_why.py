from django.db import migrations, models


class Migration(migrations.Migration):
    """Why a version was made, for its history."""

    dependencies = [("content", "0008_template_tests")]

    operations = [
        migrations.AddField(
            model_name=model,
            name="why",
            field=models.CharField(blank=True, max_length=400, verbose_name="why it was made", default=""),
            preserve_default=False,
        )
        for model in ("blockversion", "templateversion")
    ]
