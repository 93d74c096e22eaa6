from django.db import migrations, models


class Migration(migrations.Migration):
    """People are staged with the number that their profile gets, should they be new. What is staged without one and not
    merged is forgotten: its files are read again."""

    dependencies = [("imports", "0005_staged_sensitive_attributes")]

    operations = [
        migrations.AddField(
            "stagedperson",
            "drawn",
            models.BigIntegerField(help_text="the number of their profile, should they be new", null=True),
        ),
        migrations.RunSQL("DELETE FROM imports_stagedperson WHERE profile_id IS NULL", migrations.RunSQL.noop),
    ]
