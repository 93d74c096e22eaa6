from django.db import migrations

# Once for each statement, whatever the number of its rows. What is only sealed or digested anew is no change.
_FUNCTIONS = """
CREATE FUNCTION profiles_profile_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO profiles_changepending (kind, profile_id) SELECT 'profile', id FROM changed;
    RETURN NULL;
END $$;

CREATE FUNCTION profiles_part_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO profiles_changepending (kind, profile_id) SELECT DISTINCT 'profile', profile_id FROM changed;
    RETURN NULL;
END $$;

CREATE FUNCTION profiles_identifier_edited() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO profiles_changepending (kind, profile_id)
    SELECT DISTINCT 'profile', person.id
    FROM before JOIN changed USING (id)
    CROSS JOIN LATERAL (VALUES (before.profile_id), (changed.profile_id)) AS person(id)
    WHERE (before.profile_id, before.kind, before.verified, before.main)
          IS DISTINCT FROM (changed.profile_id, changed.kind, changed.verified, changed.main);
    RETURN NULL;
END $$;

CREATE FUNCTION profiles_sealedattribute_edited() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO profiles_changepending (kind, profile_id)
    SELECT DISTINCT 'profile', person.id
    FROM before JOIN changed USING (id)
    CROSS JOIN LATERAL (VALUES (before.profile_id), (changed.profile_id)) AS person(id)
    WHERE (before.profile_id, before.changed_at) IS DISTINCT FROM (changed.profile_id, changed.changed_at);
    RETURN NULL;
END $$;
"""

_TRIGGERS = """
CREATE TRIGGER profiles_profile_added AFTER INSERT ON profiles_profile
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION profiles_profile_changed();
CREATE TRIGGER profiles_profile_edited AFTER UPDATE ON profiles_profile
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION profiles_profile_changed();
CREATE TRIGGER profiles_profile_removed AFTER DELETE ON profiles_profile
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION profiles_profile_changed();

CREATE TRIGGER profiles_identifier_added AFTER INSERT ON profiles_identifier
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION profiles_part_changed();
CREATE TRIGGER profiles_identifier_edited AFTER UPDATE ON profiles_identifier
    REFERENCING OLD TABLE AS before NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION profiles_identifier_edited();
CREATE TRIGGER profiles_identifier_removed AFTER DELETE ON profiles_identifier
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION profiles_part_changed();

CREATE TRIGGER profiles_sealedattribute_added AFTER INSERT ON profiles_sealedattribute
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION profiles_part_changed();
CREATE TRIGGER profiles_sealedattribute_edited AFTER UPDATE ON profiles_sealedattribute
    REFERENCING OLD TABLE AS before NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION profiles_sealedattribute_edited();
CREATE TRIGGER profiles_sealedattribute_removed AFTER DELETE ON profiles_sealedattribute
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION profiles_part_changed();
"""

_MARK = "INSERT INTO profiles_changemark (id, reached, forgotten) VALUES (1, 0, 0)"


class Migration(migrations.Migration):
    """The database writes down who changed, whoever changes them."""

    dependencies = [("profiles", "0012_change_feed")]

    operations = [
        migrations.RunSQL(_FUNCTIONS, migrations.RunSQL.noop),
        migrations.RunSQL(_TRIGGERS, migrations.RunSQL.noop),
        migrations.RunSQL(_MARK, migrations.RunSQL.noop),
    ]
