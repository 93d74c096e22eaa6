import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.foundation.core.clock


class Migration(migrations.Migration):
    """Markets, the market of a block, and owners, which the next migration fills in."""

    dependencies = [
        ("content", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Market",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("code", models.SlugField(max_length=40, unique=True)),
                ("name", models.CharField(max_length=120)),
                (
                    "languages",
                    models.JSONField(
                        default=list, help_text="language tags that its content is written in, such as de-AT"
                    ),
                ),
                ("updated_at", models.DateTimeField(default=apps.foundation.core.clock.now)),
            ],
            options={
                "ordering": ["name"],
                "permissions": [("edit_market", "Can edit the content of a market")],
            },
        ),
        migrations.AlterModelOptions(
            name="block",
            options={"ordering": ["name"], "permissions": [("publish_block", "Can publish a block")]},
        ),
        migrations.AlterModelOptions(
            name="template",
            options={"permissions": [("publish_template", "Can publish a template")]},
        ),
        migrations.AddField(
            model_name="block",
            name="market",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="blocks",
                to="content.market",
            ),
        ),
        migrations.AddField(
            model_name="brand",
            name="owner",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="brands",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="blocktype",
            name="owner",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="block_types",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
    ]
