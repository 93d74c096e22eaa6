from django.db import migrations

# COST 1: hardly anybody has later days than are asked about.
_FUNCTIONS = """
CREATE FUNCTION features_counted_until(person bigint, called text, until timestamptz)
RETURNS integer LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1 AS $$
BEGIN
    RETURN (SELECT count(*) FROM events_event AS event
            WHERE event.profile_id = person AND event.name = called AND event.occurred_at <= until);
END $$;

CREATE FUNCTION features_number_until(person bigint, names bigint[], until date)
RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1 AS $$
BEGIN
    RETURN (SELECT sum(tally.number) FROM features_eventday AS tally
            WHERE tally.profile_id = person AND tally.name_id = ANY(names) AND tally.day <= until);
END $$;

CREATE FUNCTION features_last_until(person bigint, names bigint[], until date)
RETURNS timestamptz LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1 AS $$
BEGIN
    RETURN (SELECT max(tally.last_at) FROM features_eventday AS tally
            WHERE tally.profile_id = person AND tally.name_id = ANY(names) AND tally.day <= until);
END $$;
"""
_GONE = """
DROP FUNCTION features_counted_until(bigint, text, timestamptz);
DROP FUNCTION features_number_until(bigint, bigint[], date);
DROP FUNCTION features_last_until(bigint, bigint[], date);
"""


class Migration(migrations.Migration):
    """What is rarely looked up of one person in a count of all is looked up by functions: a subquery that names the
    person keeps PostgreSQL from sharing the count among processes (its manual, «Parallel Safety»)."""

    dependencies = [("features", "0003_days_of_a_name"), ("events", "0007_orders_of_events")]

    operations = [migrations.RunSQL(_FUNCTIONS, _GONE)]
