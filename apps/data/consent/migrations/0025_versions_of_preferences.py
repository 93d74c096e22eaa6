from django.db import migrations

_FUNCTIONS = """
CREATE OR REPLACE FUNCTION consent_preference_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO profiles_changepending (kind, profile_id, version)
    SELECT 'preference', profile_id, (extract(epoch FROM {moment}) * 1000000)::bigint FROM changed;
    RETURN NULL;
END $$;
"""

_REMOVED = """
CREATE FUNCTION consent_preference_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO profiles_changepending (kind, profile_id, version)
    SELECT 'preference', profile_id, (extract(epoch FROM greatest(clock_timestamp(), changed_at)) * 1000000)::bigint + 1
    FROM changed;
    RETURN NULL;
END $$;
DROP TRIGGER consent_preference_removed ON consent_preference;
CREATE TRIGGER consent_preference_removed AFTER DELETE ON consent_preference
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION consent_preference_gone();
"""
_KEPT = """
DROP FUNCTION consent_preference_gone() CASCADE;
CREATE TRIGGER consent_preference_removed AFTER DELETE ON consent_preference
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION consent_preference_changed();
"""

# Whoever changes a row by SQL, or with a clock that went back, changes its version all the same.
_ONWARD = """
CREATE FUNCTION consent_preference_onward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.changed_at <= OLD.changed_at THEN
        NEW.changed_at := greatest(clock_timestamp(), OLD.changed_at + interval '1 microsecond');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER consent_preference_onward BEFORE UPDATE ON consent_preference
    FOR EACH ROW EXECUTE FUNCTION consent_preference_onward();
"""


class Migration(migrations.Migration):
    """The feed of changes tells the version of preferences that reading them gives, and it only grows."""

    dependencies = [("consent", "0024_domains_of_traps")]

    operations = [
        migrations.RunSQL(_FUNCTIONS.format(moment="changed_at"), _FUNCTIONS.format(moment="clock_timestamp()")),
        migrations.RunSQL(_REMOVED, _KEPT),
        migrations.RunSQL(_ONWARD, "DROP FUNCTION consent_preference_onward() CASCADE"),
    ]
