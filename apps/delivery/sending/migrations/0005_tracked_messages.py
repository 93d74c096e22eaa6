from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("sending", "0004_topic_of_dispatch")]

    operations = [
        migrations.AddField(
            model_name="message",
            name="tracked",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="the person agreed that opens and clicks of it are followed",
            ),
        ),
    ]
