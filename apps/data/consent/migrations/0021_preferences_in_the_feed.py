from django.db import migrations

_FUNCTIONS = """
CREATE FUNCTION consent_preference_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO profiles_changepending (kind, profile_id, version)
    SELECT 'preference', profile_id, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM changed;
    RETURN NULL;
END $$;
"""

_TRIGGERS = """
CREATE TRIGGER consent_preference_added AFTER INSERT ON consent_preference
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION consent_preference_changed();
CREATE TRIGGER consent_preference_edited AFTER UPDATE ON consent_preference
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION consent_preference_changed();
CREATE TRIGGER consent_preference_removed AFTER DELETE ON consent_preference
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION consent_preference_changed();
"""


class Migration(migrations.Migration):
    """Each change of what somebody prefers comes into the feed, whoever makes it."""

    dependencies = [("consent", "0020_fewer_look_ups"), ("profiles", "0018_changes_of_preferences")]

    operations = [
        migrations.RunSQL(_FUNCTIONS, "DROP FUNCTION consent_preference_changed() CASCADE"),
        migrations.RunSQL(_TRIGGERS, migrations.RunSQL.noop),
    ]
