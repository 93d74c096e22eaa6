from django.db import migrations, models

# What is carried on from line to line stood in the clear; imports that are under way read their file anew.
_ANEW = """
UPDATE imports_import SET progress = '{}'
WHERE jsonb_typeof(progress -> 'carried') = 'object' AND progress -> 'carried' <> '{}' AND NOT progress ? 'merged'
"""


class Migration(migrations.Migration):
    """Sensitive attributes of staged lines, sealed with the import's key."""

    dependencies = [("imports", "0004_rewrite_staged_people")]

    operations = [
        migrations.AddField(model_name="stagedperson", name="sensitive", field=models.BinaryField(null=True)),
        migrations.RunSQL(_ANEW, migrations.RunSQL.noop, elidable=True),
    ]
