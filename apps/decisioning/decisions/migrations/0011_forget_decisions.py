"""What the application's role may not do: delete decisions, which only the owner's function does, and only old ones."""

from django.db import migrations

FORGET = """
CREATE FUNCTION decisions_forget(before timestamptz, most integer)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gone bigint;
BEGIN
    before := least(before, now() - interval '100 days');
    WITH old AS (
        SELECT id FROM decisions_decision AS decision
        WHERE id < decisions_first_id(before)
          AND NOT EXISTS (SELECT FROM decisions_digestpiece WHERE decision_id = decision.id OR digest_id = decision.id)
          AND NOT EXISTS (SELECT FROM decisions_itemshown WHERE decision_id = decision.id)
        ORDER BY id LIMIT most
    )
    DELETE FROM decisions_decision AS decision USING old WHERE decision.id = old.id;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("decisions", "0010_partition_answers")]

    operations = [migrations.RunSQL(FORGET, "DROP FUNCTION decisions_forget(timestamptz, integer)")]
