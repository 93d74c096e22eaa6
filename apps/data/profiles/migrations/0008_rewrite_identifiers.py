from django.db import migrations


class Migration(migrations.Migration):
    """A dropped column stays in the table's files: write them anew, so that no clear value is left in them."""

    atomic = False
    dependencies = [("profiles", "0007_drop_clear_identifiers")]

    operations = [migrations.RunSQL("VACUUM (FULL) profiles_identifier", migrations.RunSQL.noop)]
