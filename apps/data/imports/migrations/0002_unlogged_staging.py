from django.db import migrations


class Migration(migrations.Migration):
    """What is staged can be read again from its file, so it needs no write-ahead log."""

    dependencies = [("imports", "0001_initial")]

    operations = [
        migrations.RunSQL(
            f"ALTER TABLE imports_{table} SET UNLOGGED", reverse_sql=f"ALTER TABLE imports_{table} SET LOGGED"
        )
        for table in ("stagedperson", "stagedline")
    ]
