from django.db import migrations, models


class Migration(migrations.Migration):
    """A template is written for e-mail, for SMS or for push."""

    dependencies = [("content", "0012_words_no_product_may_have")]

    operations = [
        migrations.AddField(
            "template",
            "channel",
            models.CharField(
                choices=[("email", "e-mail"), ("sms", "SMS"), ("push", "push")],
                db_default="email",
                default="email",
                editable=False,
                max_length=8,
            ),
        )
    ]
