import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.foundation.core.clock


class Migration(migrations.Migration):
    dependencies = [
        ("content", "0012_words_no_product_may_have"),
        ("recommendations", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="EditorialPicks",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=80, unique=True)),
                ("placement", models.CharField(blank=True, max_length=60)),
                ("category", models.CharField(blank=True, max_length=120)),
                ("items", models.JSONField(default=list)),
                ("valid_from", models.DateTimeField(blank=True, null=True)),
                ("valid_until", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(default=apps.foundation.core.clock.now)),
                ("updated_at", models.DateTimeField(default=apps.foundation.core.clock.now)),
                (
                    "brand",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="content.brand",
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "verbose_name": "editorial picks",
                "verbose_name_plural": "editorial picks",
                "default_permissions": ("view", "add", "change"),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("valid_from", None),
                            ("valid_until", None),
                            ("valid_until__gt", models.F("valid_from")),
                            _connector="OR",
                        ),
                        name="picks_end_after_they_begin",
                    )
                ],
            },
        ),
    ]
