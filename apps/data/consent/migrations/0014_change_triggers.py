from django.db import migrations

_FUNCTIONS = """
CREATE FUNCTION consent_state_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO profiles_changepending (kind, profile_id, purpose, channel, granted, version)
    SELECT 'consent', profile_id, purpose_id, channel, granted, record_id FROM changed;
    RETURN NULL;
END $$;

CREATE FUNCTION consent_state_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO profiles_changepending (kind, profile_id, purpose, channel, granted, version)
    SELECT 'consent', profile_id, purpose_id, channel, NULL, record_id FROM changed;
    RETURN NULL;
END $$;
"""

_TRIGGERS = """
CREATE TRIGGER consent_state_added AFTER INSERT ON consent_consentstate
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION consent_state_changed();
CREATE TRIGGER consent_state_edited AFTER UPDATE ON consent_consentstate
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION consent_state_changed();
CREATE TRIGGER consent_state_removed AFTER DELETE ON consent_consentstate
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION consent_state_removed();
"""


class Migration(migrations.Migration):
    """Each change of what somebody agreed to comes into the feed, whoever makes it."""

    dependencies = [("consent", "0013_replies_withdraw"), ("profiles", "0013_change_triggers")]

    operations = [
        migrations.RunSQL(_FUNCTIONS, migrations.RunSQL.noop),
        migrations.RunSQL(_TRIGGERS, migrations.RunSQL.noop),
    ]
