from django.db import migrations

_SEEN = """
INSERT INTO profiles_attributeseen (name, first_at, last_at, source)
SELECT name, min(created_at), max(updated_at), '' FROM (
  SELECT jsonb_object_keys(attributes) AS name, created_at, updated_at FROM profiles_profile
  WHERE jsonb_typeof(attributes) = 'object') AS known
GROUP BY name ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    """Attributes that came in before are reported too."""

    dependencies = [("profiles", "0010_attribute_definitions")]

    operations = [migrations.RunSQL(_SEEN, migrations.RunSQL.noop, elidable=True)]
