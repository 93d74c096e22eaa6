from django.db import migrations

# By a look-up for each person, whatever the figures of the tables: a scalar subquery is not made a join, which for a
# batch of an import would read all people. The hour is there for numbers of transactions that come again: by then a
# row that bears one is older.
_NOTED = """
    (SELECT known.xmin = pg_current_xact_id()::xid AND known.updated_at > transaction_timestamp() - interval '1 hour'
     FROM profiles_profile AS known WHERE known.id = part.profile_id)
"""


def _functions(unless: str) -> str:
    return f"""
CREATE OR REPLACE FUNCTION profiles_part_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO profiles_changepending (kind, profile_id)
    SELECT 'profile', part.profile_id FROM (SELECT DISTINCT profile_id FROM changed) AS part {unless};
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION profiles_identifier_edited() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO profiles_changepending (kind, profile_id)
    SELECT 'profile', part.profile_id
    FROM (SELECT DISTINCT person.id AS profile_id
          FROM before JOIN changed USING (id)
          CROSS JOIN LATERAL (VALUES (before.profile_id), (changed.profile_id)) AS person(id)
          WHERE (before.profile_id, before.kind, before.verified, before.main)
                IS DISTINCT FROM (changed.profile_id, changed.kind, changed.verified, changed.main)) AS part {unless};
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION profiles_sealedattribute_edited() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO profiles_changepending (kind, profile_id)
    SELECT 'profile', part.profile_id
    FROM (SELECT DISTINCT person.id AS profile_id
          FROM before JOIN changed USING (id)
          CROSS JOIN LATERAL (VALUES (before.profile_id), (changed.profile_id)) AS person(id)
          WHERE (before.profile_id, before.changed_at) IS DISTINCT FROM (changed.profile_id, changed.changed_at)) AS part
    {unless};
    RETURN NULL;
END $$;
"""  # noqa: S608  # texts of our own


class Migration(migrations.Migration):
    """An identifier or a sealed attribute is not noted of people whom the same transaction made or changed: that was."""

    dependencies = [("profiles", "0018_changes_of_preferences")]

    operations = [migrations.RunSQL(_functions(f"WHERE {_NOTED} IS NOT TRUE"), _functions(""))]
