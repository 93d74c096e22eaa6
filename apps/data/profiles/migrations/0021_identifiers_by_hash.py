from django.contrib.postgres.indexes import HashIndex
from django.db import migrations

# `tessera.people_noted`: set by a transaction for identifiers of people whom it has written down before, all of them.
_FUNCTION = """
CREATE OR REPLACE FUNCTION profiles_part_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {unless}INSERT INTO profiles_changepending (kind, profile_id)
    SELECT 'profile', part.profile_id FROM (SELECT DISTINCT profile_id FROM changed) AS part WHERE (
        SELECT known.xmin = pg_current_xact_id()::xid AND known.updated_at > transaction_timestamp() - interval '1 hour'
        FROM profiles_profile AS known WHERE known.id = part.profile_id) IS NOT TRUE;
    RETURN NULL;
END $$;
"""
_UNLESS = "IF current_setting('tessera.people_noted', true) = 'on' THEN RETURN NULL; END IF;\n    "


class Migration(migrations.Migration):
    """Identifiers are looked up by a hash of their digest; and those of new people that come by the thousand are not
    looked at again for the feed of changes, where their people are."""

    dependencies = [("profiles", "0020_fewer_look_ups")]

    operations = [
        migrations.RemoveIndex("identifier", "identifier_lookup"),
        migrations.AddIndex("identifier", HashIndex(fields=["digest"], name="identifier_lookup")),
        migrations.RunSQL(_FUNCTION.format(unless=_UNLESS), _FUNCTION.format(unless="")),
    ]
