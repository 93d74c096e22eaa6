from django.db import migrations


class Migration(migrations.Migration):
    """Dropped columns and deleted rows stay in a table's files: write them anew, so that nothing clear is left."""

    atomic = False
    dependencies = [("imports", "0003_staged_identifiers_sealed")]

    operations = [migrations.RunSQL("VACUUM (FULL) imports_stagedperson", migrations.RunSQL.noop)]
