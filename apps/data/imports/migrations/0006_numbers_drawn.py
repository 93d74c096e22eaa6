from django.db import migrations, models


class Migration(migrations.Migration):
    """People are staged with the number that their profile gets, should they be new. What is staged without one and not
    merged is forgotten: its files are read again."""

    dependencies = [("imports", "0005_staged_sensitive_attributes")]

    operations = [
        migrations.AlterField(
            "stagedperson",
            "profile_id",
            models.BigIntegerField(
                help_text="until it is merged the number that is drawn for them, then that of their profile", null=True
            ),
        ),
        migrations.RunSQL("DELETE FROM imports_stagedperson WHERE profile_id IS NULL", migrations.RunSQL.noop),
    ]
